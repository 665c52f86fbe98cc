import ArgumentParser
import CommandLineSupport
import Foundation
import ShardPackaging
import ShardRuntime
import ShardTransport
import TensorCore

/// Plain `shardrun`: what the directory it is called in suggests.
struct StartCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start",
    abstract: "Runs what the current directory holds.",
    discussion: """
      In a node's part of a bundle it serves that node. In a bundle, or beside ./shards/bundles, \
      it runs all nodes on this machine and continues prompts: each line typed at a terminal, or \
      all of standard input, or a first example where there is nothing.
      """,
    shouldDisplay: false)

  static let example = "Once upon a time"

  @Option(help: ArgumentHelp("Where a node listens.", valueName: "HOST:PORT"))
  var listen: String?

  @Option(help: "Text to continue.")
  var prompt: String?

  @OptionGroup var place: PlaceOptions
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var length: LengthOptions
  @OptionGroup var failure: FailureOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    switch try Surroundings.here() {
    case .node:
      try Self.refuse(
        optionsBut: ["--listen", "--threads", "--json", "--quiet", "-q"] + TrustOptions.names
          + ClusterOptions.names,
        because: "this directory is a node's part of a bundle, which plain shardrun serves",
        instead: "continue a prompt with shardrun generate . --peers NAME=HOST:PORT,...")
      try NodeServing(
        bundle: ".", node: nil, address: try address(), threads: place.compute.threads,
        cluster: place.cluster, trust: place.trust, common: common
      ).run()
    case .bundle(let path):
      if listen != nil {
        throw ValidationError(
          "\(path) holds all nodes, which plain shardrun runs here, and none listens for others: "
            + "serve one of them with shardrun node \(path) --node NAME --listen HOST:PORT.")
      }
      try Ranks.guarded(path, place) { interruption in
        common.note("running all nodes of \(path) on this machine")
        let model = try RunningModel(
          bundle: path, place: place, common: common, interruption: interruption,
          failure: failure.policy)
        defer { model.stop() }
        let names = model.package.nodeNames.joined(separator: ", ")
        common.note("ready: \(names) answered a probe token")
        try answer(
          Continuation(
            model: model, length: length, sampling: sampling.parameters, common: common,
            interruption: interruption), interruption)
      }
    }
  }

  private func address() throws -> HostPort {
    let text = listen ?? NodeCommand.defaultAddress
    do {
      return try HostPort(text)
    } catch {
      throw ValidationError("--listen takes HOST:PORT, not \"\(text)\".")
    }
  }

  /// Options that would not be looked at are not taken either.
  private static func refuse(
    optionsBut known: [String], because reason: String, instead: String
  ) throws {
    for word in CommandLine.arguments.dropFirst() where word.hasPrefix("-") {
      let name = word.split(separator: "=", maxSplits: 1).first.map(String.init) ?? word
      guard !known.contains(name) else { continue }
      throw ValidationError("\(reason): it takes no \(name); \(instead).")
    }
  }

  private func answer(_ continuation: Continuation, _ interruption: Interruption) throws {
    let model = continuation.model
    guard model.tokenizer != nil else {
      common.note("the bundle has no tokenizer; continuing its first token")
      return try continuation.run([model.beginningOfSequence ?? 0])
    }
    if prompt == nil, Console.inputIsTerminal {
      common.note("type a beginning; Ctrl-D ends")
      var briefly = continuation
      briefly.showsNodes = false
      if (try? model.tokenizer?.chatTemplate) != nil {
        common.note("this model can chat: shardrun chat")
      }
      var lines = InputLines()
      while !interruption.isRequested {
        Console.writeError("> ")
        do {
          let next = try lines.next(isInterrupted: { interruption.isRequested })
          guard let line = next else { break }
          let ids = try model.encode(line, addSpecialTokens: true)
          if !line.isEmpty { try briefly.run(ids) }
        } catch let fault as TextFault {
          // The line is gone; the next may be better.
          Program.tell(fault, asJSON: false)
        }
      }
      return
    }
    var text = try prompt ?? PromptInput.text()
    if text.isEmpty {
      text = Self.example
      common.note("no prompt on standard input; beginning with \"\(text)\"")
    }
    try continuation.run(try model.encode(text, addSpecialTokens: true), echo: text)
  }
}

/// What a directory is to plain `shardrun`.
enum Surroundings: Equatable {
  /// A node's part of a bundle.
  case node
  /// A bundle, or a place with one in its workspace.
  case bundle(String)

  static func here() throws(StartFault) -> Surroundings {
    if Directory.isFile(BundleFiles.manifest) {
      return Directory.isFile(BundleFiles.nodeDescriptor) ? .node : .bundle(".")
    }
    let workspace = BundleArgument.defaultPath
    if Directory.isFile("\(workspace)/\(BundleFiles.manifest)") { return .bundle(workspace) }
    throw StartFault()
  }
}

/// Plain `shardrun` where there is nothing to run.
struct StartFault: Fault {
  let code = "start.nothingHere"
  let message =
    "this directory is no bundle and has no \(BundleArgument.defaultPath); make one with "
    + "shardtool quantize, plan and pack, or give a bundle: shardrun generate BUNDLE --prompt TEXT"
  let exitStatus = ExitStatus.noInput
}
