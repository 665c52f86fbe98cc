import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Broken checkpoints of the reference set through the real program: the verdict, the exit
/// status, one sentence, little memory, nothing left behind.
extension EndToEnd {
  @Suite struct Malformed {
    static let cases: [(name: String, isFormat: Bool, isAccepted: Bool)] = {
      guard let root = Places.referenceSet,
        let bytes = try? InputFile.contents(of: root + "/malformed/expected.json"),
        let expected = try? JSONParsing().parse(bytes)
      else { return [] }
      return (expected["cases"]?.array ?? []).compactMap { item in
        item["name"]?.string.map {
          ($0, item["level"]?.string == "format", item["expect"]?.string == "accept")
        }
      }
    }()

    /// Limits the data segment, which holds heap and anonymous memory, to 64 MiB.
    private func quantize(_ checkpoint: String, to output: String) throws -> ProgramRun {
      let program = "\(Places.programs)/shardtool"
      return try ProgramRun.run(
        "/bin/bash",
        [
          "-c", #"ulimit -d 65536; exec "$@""#, "bash", program, "quantize", checkpoint,
          "--output", output, "--quiet", "--threads", "1",
        ])
    }

    @Test(.enabled(if: !cases.isEmpty, "needs the reference set"))
    func everyVerdictIsMet() throws {
      let place = try TemporaryDirectory()
      let root = try #require(Places.referenceSet)
      for (name, isFormat, isAccepted) in Self.cases {
        let run = try quantize("\(root)/malformed/\(name)", to: place.appending("out"))
        if run.status == 0 {
          #expect(isAccepted, "\(name) was accepted")
          try Directory.remove(place.appending("out"))
          continue
        }
        // A sound file may still be no model: only the format cases' files are judged.
        #expect(!isAccepted || isFormat, "\(name): \(run.errors)")
        #expect(run.status == 65 || run.status == 66, "\(name): \(run.status)")
        #expect(run.output.isEmpty && run.errors.split(separator: "\n").count == 1, "\(name)")
        #expect(run.errors.hasPrefix("error: "), "\(name): \(run.errors)")
        #expect(try Directory.names(in: place.path).isEmpty, "\(name) left something behind")
      }
      print("reference set: \(Self.cases.count) malformed checkpoints through shardtool")
    }
  }
}
