import ArgumentParser
import CommandLineSupport
import Foundation
import ShardPackaging
import ShardPreparation
import StrictJSON
import TensorCore

struct ShipCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ship",
    abstract: "Copies a node's part of a bundle to a directory or another machine.",
    usage: "shardtool ship <bundle> --node <name> <target> [--node <name> <target> ...]",
    discussion: """
      Example: shardtool ship shards/bundles --node node-1 anna@laptop-b:models/fable

      A target is a directory, such as one on a USB stick, or user@host:directory, which is \
      reached by ssh without a password; the other machine needs shardrun. What the target has \
      already is not sent again: neither chunks that came before a connection broke, nor those \
      of an older bundle. Every chunk is read back and compared with its digest there, and the \
      directory appears whole or not at all. Several nodes are shipped at once; the first --node \
      belongs to the first target.
      """)

  @Argument(help: "A bundle, or a node's directory.")
  var bundle: String

  @Option(
    name: .customLong("node"), parsing: .singleValue,
    help: ArgumentHelp(
      "The node for the target that follows, once for each; not needed for a node's directory.",
      valueName: "name"))
  var nodes: [String] = []

  @Argument(
    help: ArgumentHelp("Where to: a directory, or user@host:directory.", valueName: "target"))
  var targets: [String]

  @OptionGroup var shell: ShellOptions

  @Option(help: "How often a broken connection is made again before new chunks arrive.")
  var retries = 5

  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard !targets.isEmpty else {
      throw ValidationError("ship takes a bundle and a target; give a directory or user@host:dir.")
    }
    let isSingle = nodes.isEmpty && targets.count == 1
    guard isSingle || nodes.count == targets.count else {
      throw ValidationError(
        "\(Quantity.count(targets.count, "target")) and \(nodes.count) --node were given; give "
          + "each target its --node NAME.")
    }
    guard (0...100).contains(retries) else {
      throw ValidationError("--retries takes a number from 0 to 100, not \(retries).")
    }
  }

  func run() throws {
    let places = try targets.map { try ShipTarget($0) }
    for (index, place) in places.enumerated() where places[..<index].contains(place) {
      throw PreparationFault(
        "shipTarget",
        "\(place) is given twice; a target takes one node, so give each a directory of its own",
        exitStatus: .usage, context: ["target": "\(place)"])
    }
    for place in places { try refuse(inside: place) }
    let shipments = try places.enumerated().map { index, place in
      Shipment(
        sender: try ShipSender(
          directory: bundle, node: nodes.indices.contains(index) ? nodes[index] : nil),
        target: place, shell: shell.secureShell, retries: retries)
    }
    let board = ProgressBoard(count: shipments.count, isSilent: common.quiet)
    let results = ShipRun.all(shipments) { index, event in
      let shipment = shipments[index]
      switch event {
      case .progress(let progress):
        board.show(
          ProgressUpdate(
            phase: "\(shipment.sender.node) to \(shipment.target)",
            completedBytes: progress.storedByteCount, totalBytes: progress.missingByteCount),
          of: index)
      case .interrupted(let message, let pause):
        let what = message.prefix { $0 != ";" }
        board.note("\(what); the next try comes in \(Int(pause)) s")
      }
    }
    board.finish()
    try report(results)
  }

  /// Throws: where a target lies in the bundle that is shipped, which would not be whole after.
  private func refuse(inside place: ShipTarget) throws {
    guard case .directory(let path) = place else { return }
    var existing = path
    while Directory.resolved(existing) == nil, existing != Directory.parent(of: existing) {
      existing = Directory.parent(of: existing)
    }
    guard let target = Directory.resolved(existing), var root = Directory.resolved(bundle)
    else { return }
    let above = Directory.parent(of: Directory.parent(of: root))
    if Directory.isFile("\(above)/manifest.json") { root = above }
    guard target == root || target.hasPrefix("\(root)/") else { return }
    throw PreparationFault(
      "shipTarget", "\(path) lies in the bundle \(root) itself; give a place outside of it",
      exitStatus: .cannotCreate, context: ["target": path])
  }

  private func report(_ results: [Result<Shipment.Outcome, any Error>]) throws {
    if results.count == 1 { _ = try results[0].get() }
    let faults = results.compactMap { result -> (any Fault)? in
      guard case .failure(let error) = result else { return nil }
      return error as? any Fault ?? PreparationFault("unexpected", "\(error)", exitStatus: .bug)
    }
    if common.json {
      Console.write(json(results))
    } else {
      for case .success(let outcome) in results { Console.write(Self.line(outcome)) }
      for fault in faults { Program.tell(fault, asJSON: false) }
    }
    if let first = faults.first { throw ExitCode(first.exitStatus.rawValue) }
  }

  private func json(_ results: [Result<Shipment.Outcome, any Error>]) -> JSONValue {
    let entries = zip(results, targets).map { result, target -> JSONValue in
      switch result {
      case .success(let outcome): return outcome.json
      case .failure(let error):
        let fault =
          error as? any Fault ?? PreparationFault("unexpected", "\(error)", exitStatus: .bug)
        return ["target": .string(target), "error": Program.object(for: fault)["error"] ?? .null]
      }
    }
    return ["schema": "shardtool.ship/1", "targets": .array(entries)]
  }

  private static func line(_ outcome: Shipment.Outcome) -> String {
    let there =
      outcome.keptByteCount > 0
      ? ", \(Quantity.describe(bytes: outcome.keptByteCount)) were there" : ""
    let breaks =
      outcome.interruptions > 0
      ? ", after \(Quantity.count(outcome.interruptions, "broken connection"))" : ""
    return "\(outcome.node) is whole at \(outcome.target): "
      + "\(Quantity.describe(bytes: outcome.byteCount)), "
      + "\(Quantity.describe(bytes: outcome.sentByteCount)) sent\(there)\(breaks)\n"
  }
}

/// How ssh is called.
struct ShellOptions: ParsableArguments {
  @Option(
    name: [.customShort("p"), .customLong("port")], help: "The port of the other machine's sshd.")
  var port: Int?

  @Option(
    name: .customLong("ssh-option"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp("An option for ssh, as for ssh -o.", valueName: "key=value"))
  var options: [String] = []

  @Option(
    name: .customLong("ssh-config"),
    help: ArgumentHelp("A configuration file for ssh, as for ssh -F.", valueName: "file"))
  var configuration: String?

  @Option(
    name: .customLong("remote-command"),
    help: ArgumentHelp("How shardrun is called on the other machine.", valueName: "command"))
  var remoteCommand = "shardrun"

  func validate() throws {
    if let port, !(1...65535).contains(port) {
      throw ValidationError("--port takes a number from 1 to 65535, not \(port).")
    }
  }

  var secureShell: SecureShellOptions {
    var shell = SecureShellOptions()
    shell.port = port
    shell.options = options
    shell.configuration = configuration
    shell.remoteCommand = remoteCommand
    return shell
  }
}
