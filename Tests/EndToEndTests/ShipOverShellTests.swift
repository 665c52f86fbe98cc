import Foundation
import ShardPackaging
import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// `shardtool ship` over a real ssh to a real sshd of this machine.
  @Suite(.enabled(if: LoopbackShell.isHere, LoopbackShell.reasonToSkip)) struct ShipOverShell {
    private let shell: LoopbackShell
    private let place: TemporaryDirectory

    init() throws {
      shell = try LoopbackShell()
      place = try TemporaryDirectory()
    }

    private func ship(
      _ bundle: String, _ pairs: [(String, String)], _ more: [String] = [],
      configuration: String = "config"
    ) throws -> ProgramRun {
      let words = pairs.flatMap { ["--node", $0.0, $0.1] }
      return try ProgramRun.run(
        "shardtool", ["ship", bundle] + words + shell.options(configuration) + more)
    }

    private func remote(_ path: String) -> String { "\(shell.destination):\(path)" }

    @Test func nodesArriveWholeAndRun() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [2, 2, 2])
      let names = ["node-0", "node-1", "node-2"]
      let awkward = place.appending("it's a \"dir\" $HOME")
      let run = try ship(
        bundle,
        [
          ("node-0", remote(place.appending("node-0"))), ("node-1", remote(awkward)),
          ("node-2", place.appending("stick/node-2")),
        ], ["--json"])
      #expect(run.status == 0, "\(run.errors)")
      let result = try JSONParsing().parse(run.output)
      #expect(try violations(of: "shardtool.ship", result) == [])
      #expect(result["targets"]?.array?.compactMap { $0["node"]?.string } == names)
      for (node, target) in [
        ("node-0", place.appending("node-0")), ("node-1", awkward),
        ("node-2", place.appending("stick/node-2")),
      ] {
        let verified = try ProgramRun.run("shardrun", ["verify", target])
        #expect(verified.status == 0, "\(verified.errors)")
        #expect(try tree(target) == tree("\(bundle)/nodes/\(node)"))
      }
      // Once more: nothing but the manifest goes over the wire.
      let again = try ship(bundle, [("node-0", remote(place.appending("node-0")))], ["--json"])
      let entry = try JSONParsing().parse(again.output)["targets"]?.array?.first
      #expect(entry?["received_bytes"]?.int == 0)
      let manifest = try InputFile.contents(of: "\(bundle)/manifest.json").count
      #expect((entry?["sent_bytes"]?.int ?? .max) < manifest + 2000)
      let text = try ship(bundle, [("node-0", remote(place.appending("node-0")))])
      #expect(text.output.contains("node-0 is whole at"))
    }

    /// Row 4: from two nodes to three, over ssh: no weight is written, and what goes over the wire
    /// is what the nodes lack.
    @Test func anotherPlanShipsWhatANodeLacks() throws {
      let models = try PreparedModels.shared.get()
      let bundle = place.appending("bundle")
      var had: [String: Set<BlobReference>] = [:]
      for split in ["3,3", "2,2,2", "1,5", "4,2"] {
        let plan = place.appending("plan.json")
        let count = split.split(separator: ",").count
        for arguments in [
          [
            "plan", models.path("q4"), "--nodes", "\(count)", "--ram", "8G", "--split", split,
            "--output", plan, "--quiet",
          ],
          ["pack", models.path("q4"), "--plan", plan, "--output", bundle, "--json"],
        ] {
          let run = try ProgramRun.run("shardtool", arguments)
          #expect(run.status == 0, "\(run.errors)")
        }
        let manifest = try manifest(of: bundle)
        let pairs = manifest.nodes.map { ($0.name, remote(place.appending($0.name))) }
        let run = try ship(bundle, pairs, ["--json"])
        #expect(run.status == 0, "\(run.errors)")
        let entries = try JSONParsing().parse(run.output)["targets"]?.array ?? []
        for (node, entry) in zip(manifest.nodes, entries) {
          let wanted = Set(manifest.blobs(of: node))
          let lacking = wanted.subtracting(had[node.name] ?? []).reduce(0) { $0 + $1.byteCount }
          #expect(entry["received_bytes"]?.int == lacking, "\(split) \(node.name)")
          let small = try InputFile.contents(of: "\(bundle)/manifest.json").count + 4096
          #expect((entry["sent_bytes"]?.int ?? .max) <= lacking + small)
          had[node.name] = wanted
          let target = place.appending(node.name)
          #expect(try tree(target) == tree("\(bundle)/nodes/\(node.name)"))
        }
      }
    }

    private func manifest(of directory: String) throws -> Manifest {
      let path = "\(directory)/manifest.json"
      return try Manifest(file: InputFile.contents(of: path), path: path)
    }

    @Test func whatGoesWrongHasAName() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [6])
      let node = [("node-0", remote(place.appending("x")))]
      func expect(
        _ status: Int32, _ words: String, _ run: ProgramRun,
        location: SourceLocation = #_sourceLocation
      ) {
        #expect(run.status == status, "\(run.errors)", sourceLocation: location)
        #expect(run.errors.contains(words), "\(run.errors)", sourceLocation: location)
        #expect(
          run.errors.split(separator: "\n").count == 1, "\(run.errors)", sourceLocation: location)
      }
      expect(77, "another host key", try ship(bundle, node, configuration: "config-wrong-host"))
      expect(77, "log in once", try ship(bundle, node, configuration: "config-unknown-host"))
      expect(77, "authorized_keys", try ship(bundle, node, configuration: "config-wrong-key"))
      let closed = try LoopbackShell.freePort()
      expect(69, "nobody listens", try ship(bundle, node, ["--port", "\(closed)"]))
      expect(
        69, "no program \"no-such-program\"",
        try ship(bundle, node, ["--remote-command", "no-such-program"]))
      expect(
        69, "greeting", try ship(bundle, node, ["--remote-command", "echo hello; cat;"]))
      expect(
        64, "--ssh-option",
        try ship(bundle, node, ["--ssh-option", "NoSuchOption=1"]))
      expect(
        69, "no machine of that name",
        try ship(bundle, [("node-0", "nobody@no-such-host.invalid:x")]))
      // Another format at the target.
      try Directory.create(place.appending("home"))
      try Directory.writeAtomically([1], to: place.appending("home/letter.txt"))
      expect(
        73, "letter.txt", try ship(bundle, [("node-0", remote(place.appending("home")))]))
      expect(73, "sysfs", try ship(bundle, [("node-0", remote("/sys/sysfs"))]))
      expect(64, "no target", try ProgramRun.run("shardtool", ["ship", bundle, "host:"]))
      let inside = ["ship", bundle, "--node", "node-1", bundle + "/nodes/stick"]
      expect(73, "lies in the bundle", try ProgramRun.run("shardtool", inside))
      expect(64, "given twice", try ship(bundle, [node[0], node[0]]))
      #expect(!Directory.exists(place.appending("x")))
      #expect(!Directory.exists(place.appending(".x.partial")))
    }

    @Test(.enabled(if: SmallDisk.canBeMade, SmallDisk.reasonToSkip))
    func fullAndReadOnlyDisksAreNamed() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [6])
      let disk = try SmallDisk(at: place.appending("disk"), kibibytes: 1024)
      for target in [disk.path + "/a", remote(disk.path + "/b")] {
        let run = try ship(bundle, [("node-0", target)])
        #expect(run.status == 74, "\(run.errors)")
        #expect(run.errors.contains("has room for") && run.errors.contains("free some space"))
        #expect(run.errors.contains(disk.path))
      }
      // The mount point itself cannot be exchanged for a directory.
      let whole = try ship(bundle, [("node-0", remote(disk.path))])
      #expect(whole.status == 73 && whole.errors.contains("\(disk.path)/node"), "\(whole.errors)")
      try disk.makeReadOnly()
      for target in [disk.path + "/c", remote(disk.path + "/d")] {
        let run = try ship(bundle, [("node-0", target)])
        #expect(run.status == 73, "\(run.errors)")
        #expect(run.errors.contains("Read-only"), "\(run.errors)")
      }
    }

    /// One target fails, the other gets its node; the exit status is that of the failure.
    @Test func oneBadTargetDoesNotStopTheOthers() throws {
      let bundle = try PreparedModels.shared.get().bundle(bits: 4, split: [3, 3])
      try Directory.create(place.appending("home"))
      try Directory.writeAtomically([1], to: place.appending("home/letter.txt"))
      let pairs = [
        ("node-0", remote(place.appending("home"))), ("node-1", remote(place.appending("node-1"))),
      ]
      let run = try ship(bundle, pairs)
      #expect(run.status == 73)
      #expect(run.output.contains("node-1 is whole"))
      #expect(run.errors.contains("letter.txt"))
      let json = try ship(bundle, pairs, ["--json"])
      #expect(json.status == 73)
      let result = try JSONParsing().parse(json.output)
      #expect(try violations(of: "shardtool.ship", result) == [])
      #expect(result["targets"]?.array?[0]["error"]?["code"] == "package.foreignFiles")
    }
  }
}

/// All files below a directory with their bytes.
func tree(_ root: String) throws -> [String: [UInt8]] {
  var found: [String: [UInt8]] = [:]
  for name in try Directory.names(in: root) {
    let path = "\(root)/\(name)"
    if Directory.exists(path) {
      for (inner, bytes) in try tree(path) { found["\(name)/\(inner)"] = bytes }
    } else {
      found[name] = try InputFile.contents(of: path)
    }
  }
  return found
}
