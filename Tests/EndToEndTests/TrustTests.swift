import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// Signed bundles through the programs: with a trusted key, nothing else runs.
extension EndToEnd {
  @Suite struct Trust {
    private let place: TemporaryDirectory
    private let bundle: String
    private let key: String
    private let stranger: String

    init() throws {
      place = try TemporaryDirectory()
      bundle = place.appending("bundle")
      (key, stranger) = (place.appending("our.key"), place.appending("their.key"))
      let models = try PreparedModels.shared.get()
      try FileManager.default.copyItem(
        atPath: try models.bundle(bits: 4, split: [2, 2, 2]), toPath: bundle)
      for path in [key, stranger] { #expect(try tool(["keygen", path]).status == 0) }
      let signed = try tool(["sign", bundle, "--key", key])
      #expect(signed.status == 0, "\(signed.errors)")
    }

    private var state: [String: String] { ["SHARD_TRUST_STATE": place.appending("state.json")] }
    private var trusting: [String] { ["--trust", key + ".pub"] }

    private func tool(_ arguments: [String]) throws -> ProgramRun {
      try ProgramRun.run("shardtool", arguments, environment: state)
    }

    private func run(
      _ arguments: [String], in directory: String? = nil, environment: [String: String] = [:]
    ) throws -> ProgramRun {
      try ProgramRun.run(
        "shardrun", arguments, in: directory, environment: state.merging(environment) { $1 })
    }

    private func expectRefused(
      _ run: ProgramRun, _ words: String, location: SourceLocation = #_sourceLocation
    ) {
      #expect(run.status == 77, "\(run.output) \(run.errors)", sourceLocation: location)
      #expect(run.output.isEmpty, sourceLocation: location)
      #expect(
        run.errors.contains("error: ") && run.errors.contains(words), "\(run.errors)",
        sourceLocation: location)
    }

    private let story = ["--prompt", "Once", "--max-tokens", "3", "--quiet"]

    @Test func trustedBundlesRunOnAllNodes() throws {
      let plain = try run(["generate", bundle] + story)
      let trusted = try run(["generate", bundle] + story + trusting)
      #expect(trusted.status == 0 && trusted.output == plain.output, "\(trusted.errors)")
      let both = try run(
        ["generate", bundle] + story + ["--trust", stranger + ".pub"] + trusting)
      #expect(both.status == 0)
      let memory = try JSONParsing().parse(
        try InputFile.contents(of: place.appending("state.json")))
      #expect(memory["lines"]?.array?.count == 1)
      #expect(memory["lines"]?.array?.first?["sequence"] == 1)
    }

    /// Every command that reads a bundle, over a bundle of somebody else.
    @Test func everyCommandRefusesOthers() throws {
      let part = "\(bundle)/nodes/node-1"
      let commands: [[String]] = [
        ["generate", bundle] + story, ["chat", bundle], ["score", bundle, "--token-ids", "1,2"],
        ["bench", bundle], ["verify", bundle], ["verify", part], ["node", part],
        ["node", bundle, "--node", "node-2"],
      ]
      for command in commands {
        let other = try run(command + ["--trust", stranger + ".pub"])
        expectRefused(other, "signature.json is signed by")
        expectRefused(
          try run(command, environment: ["SHARD_TRUST": stranger + ".pub"]), "is signed by")
      }
      for directory in [part, bundle] {
        expectRefused(
          try run([], in: directory, environment: ["SHARD_TRUST": stranger + ".pub"]),
          "is signed by")
        expectRefused(
          try run(["--trust", stranger + ".pub"], in: directory), "is signed by")
      }
      let folder = place.appending("config/shardtool/trust")
      try Directory.create(folder)
      try Directory.link(stranger + ".pub", to: folder + "/them.pub")
      expectRefused(
        try run(["verify", bundle], environment: ["XDG_CONFIG_HOME": place.appending("config")]),
        "is signed by")
      expectRefused(try tool(["verify", bundle, "--trust", stranger + ".pub"]), "is signed by")
    }

    @Test func missingSignaturesAreRefusedOnAnyNode() throws {
      for path in ["nodes/node-1/signature.json", "signature.json"] {
        try Directory.remove("\(bundle)/\(path)")
        expectRefused(
          try run(["generate", bundle] + story + trusting), "signature.json is missing")
        expectRefused(try run(["verify", bundle] + trusting), "\(path) is missing")
        expectRefused(try tool(["verify", bundle] + trusting), "\(path) is missing")
        // A warning that was asked for is given, also by the processes of --local.
        let warn = trusting + ["--trust-policy", "warn"]
        for warned in [
          try run(["generate", bundle] + story + warn),
          try run(["verify", bundle, "--quiet"] + warn),
          try tool(["verify", bundle, "--quiet"] + warn),
        ] {
          #expect(
            warned.status == 0 && warned.errors.contains("warning: ")
              && warned.errors.contains("\(path) is missing"), "\(warned.errors)")
        }
      }
      let asJSON = try run(["generate", bundle, "--prompt", "Once", "--json"] + trusting)
      let error = try JSONParsing().parse(asJSON.output)["error"]
      #expect(asJSON.status == 77 && error?["exit_status"] == 77)
      #expect(error?["code"] == "package.unsigned")
      // Warned of, and not asked: both run.
      let warned = try run(
        ["generate", bundle, "--prompt", "Once", "--max-tokens", "3", "--trust-policy", "warn"]
          + trusting)
      #expect(warned.status == 0 && warned.errors.contains("warning: "), "\(warned.errors)")
      let off = try run(
        ["generate", bundle] + story + trusting + ["--trust-policy", "off"])
      #expect(off.status == 0 && off.errors.isEmpty, "\(off.errors)")
      expectRefused(try run(["verify", bundle, "--trust-policy", "enforce"]), "no key is trusted")
    }

    /// A child of --local that meets damage ends the whole with its sentence.
    @Test func damageOnAnotherNodeIsADoubt() throws {
      let part = "\(bundle)/nodes/node-2"
      let names = try Directory.names(in: part + "/blobs/sha256")
      let sizes = try names.map { name in
        (name, try InputFile(path: "\(part)/blobs/sha256/\(name)").byteCount)
      }
      let blob = try #require(sizes.max { $0.1 < $1.1 }?.0)
      let path = "\(part)/blobs/sha256/\(blob)"
      var bytes = try InputFile.contents(of: path)
      bytes[bytes.count / 2] ^= 4
      try Directory.writeAtomically(bytes, to: path)
      expectRefused(try run(["generate", bundle] + story + trusting), String(blob.prefix(12)))
      let without = try run(["generate", bundle] + story)
      #expect(without.status == 65, "\(without.errors)")
    }

    /// A representative of each kind of change, through both programs.
    @Test func changedFilesAreRefused() throws {
      let part = "\(bundle)/nodes/node-0"
      let blobs = try Directory.names(in: part + "/blobs/sha256").map { "blobs/sha256/\($0)" }
      for name in ["manifest.json", "signature.json", "node.json"] + blobs {
        let path = "\(part)/\(name)"
        let bytes = try InputFile.contents(of: path)
        var changes: [[UInt8]] = [Array(bytes.dropLast()), bytes + [0x20], []]
        for index in [0, bytes.count / 2, bytes.count - 3] {
          var changed = bytes
          changed[index] ^= 1
          changes.append(changed)
        }
        for changed in changes {
          try Directory.writeAtomically(changed, to: path)
          let words = name == "manifest.json" ? "manifest.json" : Directory.name(of: path)
          expectRefused(try tool(["verify", part] + trusting), words)
          expectRefused(try run(["verify", part] + trusting), words)
        }
        expectRefused(try run(["node", part] + trusting), "error: ")
        try Directory.writeAtomically(bytes, to: path)
      }
      #expect(try run(["verify", part] + trusting).status == 0)
    }

    @Test func olderBundlesAreRefused() throws {
      let models = try PreparedModels.shared.get()
      let (line, old) = (place.appending("line"), place.appending("old"))
      func pack(_ split: [Int]) throws {
        let plan = try models.bundle(bits: 4, split: split) + ".plan.json"
        let packed = try tool([
          "pack", models.path("q4"), "--plan", plan, "--output", line, "--sign", key,
        ])
        #expect(packed.status == 0 && !packed.errors.contains("warning"), "\(packed.errors)")
      }
      try pack([2, 2, 2])
      try FileManager.default.copyItem(atPath: line, toPath: old)
      try pack([2, 2, 2])
      #expect(try contents(of: line) == contents(of: old))
      try pack([1, 1, 4])
      #expect(try run(["generate", old] + story + trusting).status == 0)
      #expect(try run(["generate", line] + story + trusting).status == 0)
      for refused in [
        try run(["generate", old] + story + trusting), try run(["verify", old] + trusting),
        try run(["node", old + "/nodes/node-1"] + trusting),
      ] {
        expectRefused(refused, "number 1 of llama-6x192, and number 2")
      }
      // The old manifest and its signature over the new blobs.
      for name in ["manifest.json", "signature.json"] {
        try Directory.writeAtomically(
          try InputFile.contents(of: "\(old)/\(name)"), to: "\(line)/\(name)")
      }
      expectRefused(try tool(["verify", line] + trusting), "number 1")
      let elsewhere = try run(
        ["verify", old, "--trust-state", place.appending("other.json")] + trusting)
      #expect(elsewhere.status == 0, "\(elsewhere.errors)")
    }

    private func contents(of directory: String) throws -> [String: Digest] {
      var files: [String: Digest] = [:]
      let enumerator = FileManager.default.enumerator(atPath: directory)
      while let name = enumerator?.nextObject() as? String {
        let path = "\(directory)/\(name)"
        if Directory.isFile(path) { files[name] = Digest(of: try InputFile.contents(of: path)) }
      }
      return files
    }

    @Test func keysAreNeverReplaced() throws {
      let before = try InputFile.contents(of: key)
      let again = try tool(["keygen", key])
      #expect(again.status == 73 && again.errors.contains("is there already"), "\(again.errors)")
      #expect(try InputFile.contents(of: key) == before)
      let json = try tool(["keygen", place.appending("third.key"), "--json"])
      let value = try JSONParsing().parse(json.output)
      #expect(value["schema"] == "shardtool.keygen/1")
      #expect(value["public_key"]?.string == place.appending("third.key.pub"))
      for (arguments, status) in [
        (["verify", bundle, "--trust", key], 77), (["verify", bundle, "--trust", "nowhere"], 66),
        (["sign", bundle, "--key", key + ".pub"], 65), (["sign", bundle], 64),
        (["verify", bundle, "--trust-policy", "maybe"], 64),
        (["pack", "--sequence", "0"], 64), (["pack", "--bundle-name", "../x"], 64),
      ] as [([String], Int32)] {
        let run = try tool(arguments)
        #expect(run.status == status && run.output.isEmpty, "\(arguments): \(run.errors)")
      }
    }

    /// From the checkpoint's files into the manifest.
    @Test func provenanceIsCarriedAndPrinted() throws {
      let sums = String(
        decoding: try InputFile.contents(of: Places.fixture("SHA256SUMS")), as: UTF8.self)
      let models = try PreparedModels.shared.get()
      for path in [models.path("q4"), bundle, "\(bundle)/nodes/node-2"] {
        let run = try tool(["inspect", path, "--json"])
        let provenance = try #require(try JSONParsing().parse(run.output)["provenance"])
        #expect(provenance["quantizer"]?.string?.hasPrefix("shardtool ") == true)
        #expect(provenance["recipe"]?["name"] == "q4")
        let sources = provenance["sources"]?.array ?? []
        #expect(
          sources.compactMap { $0["role"]?.string }
            == ["configuration", "weights", "tokenizer", "tokenizer"])
        for source in sources {
          let name = try #require(source["name"]?.string)
          let digest = try #require(source["digest"]?.string).dropFirst(7)
          #expect(sums.contains("\(digest)  tiny-fable/\(name)\n"), "\(name)")
        }
        let text = try tool(["inspect", path])
        #expect(text.output.contains("made from") && text.output.contains("licence"))
      }
      let text = try tool(["inspect", bundle]).output
      #expect(text.contains("number 1") && text.contains("signed by"))
      let checked = try tool(["verify", bundle, "--json"] + trusting)
      let report = try JSONParsing().parse(checked.output)
      #expect(report["trusted_keys"]?.array?.count == 1 && report["signers"]?.array?.count == 1)
      #expect(try violations(of: "shardtool.verify", report) == [])
    }
  }
}
