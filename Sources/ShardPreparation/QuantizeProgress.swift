import Checkpoints
import Quantization
import ShardPackaging
import StrictJSON
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What an interrupted command has finished: kept in the staging directory, and gone from the
/// result.
struct QuantizeProgress {
  /// A finished file.
  struct Finished {
    let byteCount: Int
    let digest: String
    let sums: [QuantizeEncoding.Sums]
  }

  /// Stands for the input and all options that the output's bytes depend on.
  let fingerprint: String
  private(set) var files: [String: Finished] = [:]

  /// Raise this when encoders change, so that files of an older version are not kept.
  private static let encoderVersion = 3

  init(fingerprint: String) { self.fingerprint = fingerprint }

  mutating func add(_ name: String, _ finished: Finished) { files[name] = finished }

  /// A digest over recipe, configuration and the weight files' headers, sizes and times.
  static func fingerprint(_ checkpoint: Checkpoint, recipe: Recipe) throws -> String {
    var weights: [JSONValue] = []
    for file in checkpoint.weightFiles {
      var status = stat()
      guard unsafe stat(file.path, &status) == 0 else {
        throw FileFault("examine", path: file.path, errno: errno, isOutput: false)
      }
      #if canImport(Glibc)
        let time = status.st_mtim
      #else
        let time = status.st_mtimespec
      #endif
      let header = file.entries.map {
        "\($0.name) \($0.dataType.rawValue) \($0.shape) \($0.byteRange)"
      }
      weights.append([
        "name": .string(Directory.name(of: file.path)), "bytes": JSONValue(file.file.byteCount),
        "seconds": JSONValue(time.tv_sec), "nanoseconds": JSONValue(time.tv_nsec),
        "inode": .string("\(status.st_dev) \(status.st_ino)"),
        "header": .string(
          Digest(of: Array(header.joined(separator: "\n").utf8)).hexadecimal),
      ])
    }
    let value: JSONValue = [
      "version": JSONValue(encoderVersion), "recipe": recipe.json,
      "configuration": .object(checkpoint.configuration), "weights": .array(weights),
    ]
    return Digest(of: Array(value.serialized(.canonical).utf8)).hexadecimal
  }

  /// The SHA-256 of a file.
  static func digest(of path: String) throws -> (byteCount: Int, hexadecimal: String) {
    let file = try InputFile(path: path)
    let stream = DigestStream()
    var offset = 0
    while offset < file.byteCount {
      let bytes = try file.bytes(at: offset, count: min(4 << 20, file.byteCount - offset))
      unsafe stream.update(bytes.span.bytes)
      offset += bytes.count
    }
    return (file.byteCount, stream.finish().hexadecimal)
  }
}

extension QuantizeProgress {
  func write(to directory: String) throws {
    var members = JSONObject()
    for (name, file) in files.sorted(by: { $0.key < $1.key }) {
      members[name] = [
        "bytes": JSONValue(file.byteCount), "sha256": .string(file.digest),
        "sums": .array(
          file.sums.map { [.string($0.power.hexadecimal), .string($0.errorPower.hexadecimal)] }),
      ]
    }
    let value: JSONValue = ["fingerprint": .string(fingerprint), "files": .object(members)]
    try Directory.writeAtomically(
      Array(value.serialized(.pretty).utf8),
      to: "\(directory)/\(QuantizeStaging.progressFileName)")
  }

  /// What of an earlier command can be kept: files whose bytes are still those written then.
  ///
  /// Anything that does not read as expected counts as not there.
  static func resumed(in directory: String, fingerprint: String) -> QuantizeProgress {
    var progress = QuantizeProgress(fingerprint: fingerprint)
    let path = "\(directory)/\(QuantizeStaging.progressFileName)"
    guard let bytes = try? InputFile.contents(of: path, limit: 64 << 20),
      let value = try? JSONParsing().parse(bytes),
      value["fingerprint"]?.string == fingerprint, let files = value["files"]?.object
    else { return progress }
    for (name, entry) in files.members {
      guard let count = entry["bytes"]?.int, let digest = entry["sha256"]?.string,
        let pairs = entry["sums"]?.array, !name.contains("/"),
        let found = try? Self.digest(of: "\(directory)/\(name)"), found.byteCount == count,
        found.hexadecimal == digest
      else { continue }
      let sums = pairs.compactMap { pair -> QuantizeEncoding.Sums? in
        guard let power = pair.array?.first?.string.flatMap(Double.init(hexadecimal:)),
          let error = pair.array?.last?.string.flatMap(Double.init(hexadecimal:))
        else { return nil }
        return QuantizeEncoding.Sums(power: power, errorPower: error)
      }
      guard sums.count == pairs.count else { continue }
      progress.add(name, Finished(byteCount: count, digest: digest, sums: sums))
    }
    return progress
  }
}

extension Double {
  /// The 64 bits as hexadecimal digits, so that a number reads back as the same.
  fileprivate var hexadecimal: String { String(bitPattern, radix: 16) }

  fileprivate init?(hexadecimal: String) {
    guard let bits = UInt64(hexadecimal, radix: 16) else { return nil }
    self.init(bitPattern: bits)
  }
}
