import ArgumentParser
import Checkpoints
import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore

struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Says how probable given tokens are: logits, perplexity.",
    discussion: """
      Without --context the ids are one sequence, whose first id is not scored. With --context N \
      they are cut into consecutive pieces of N-1 ids, each alone behind BOS, and every id is \
      scored. Row i of the logits is what follows id i, or with --context what id i was scored \
      from.
      """)

  @OptionGroup var bundle: BundleArgument
  @OptionGroup var place: PlaceOptions

  @Option(
    name: .customLong("token-ids"),
    help: ArgumentHelp("Token ids, as they are.", valueName: "1,2,3"))
  var tokenIDs: TokenIDList?

  @Option(
    name: .customLong("token-file"),
    help: "Token ids: an I32 tensor `ids` in a safetensors file, or numbers in a text.",
    completion: .file())
  var tokenFile: String?

  @Option(name: .customLong("text-file"), help: "A UTF-8 text.", completion: .file())
  var textFile: String?

  @Option(
    help: ArgumentHelp(
      "Write logits (F32 [tokens, vocabulary]) to this safetensors file.",
      valueName: "out.safetensors"), completion: .file())
  var logits: String?

  @Option(help: ArgumentHelp("Score pieces of this many places, BOS among them.", valueName: "n"))
  var context: Int?

  @Option(
    help: ArgumentHelp(
      "The token before each piece (default: what the bundle names as BOS).", valueName: "id"))
  var bos: Int32?

  @OptionGroup var common: CommonOptions

  func validate() throws {
    let given = [tokenIDs != nil, tokenFile != nil, textFile != nil].count { $0 }
    guard given == 1 else {
      throw ValidationError("Give one of --token-ids 1,2,3, --token-file F and --text-file F.")
    }
    if let context, context < 2 {
      throw ValidationError("--context takes a number from 2 up, not \(context).")
    }
    if bos != nil, context == nil { throw ValidationError("--bos goes with --context.") }
  }

  func run() throws {
    try Ranks.guarded(bundle.path, place) { interruption in
      try refuseForeignFile()
      let model = try RunningModel(
        bundle: bundle.path, place: place, common: common, interruption: interruption,
        text: textFile != nil ? .needed : context != nil && bos == nil ? .ifPossible : .none)
      defer { model.stop() }
      let start = ContinuousClock.now
      let result = try model.run { try score(model, interruption) }
      let seconds = (ContinuousClock.now - start).seconds
      let statistics = try model.run { try model.pipeline.statistics() }
      report(result, seconds, NodeReport(model.shard, statistics))
    }
  }

  /// Logits replace logits, and no other file; a place that cannot be written is told at once.
  private func refuseForeignFile() throws {
    guard let logits else { return }
    let parent = Directory.parent(of: logits)
    guard !Directory.exists(logits), Directory.exists(parent) else {
      throw FileFault(
        code: "score.noPlace",
        message: Directory.exists(logits)
          ? "\(logits) is a directory; give --logits a file"
          : "\(parent), where \(logits) is to be, does not exist; make it or give another --logits",
        exitStatus: .cannotCreate, path: logits)
    }
    guard Directory.isFile(logits) else { return }
    if let file = try? SafetensorsFile(path: logits), file.entries.map(\.name) == ["logits"] {
      return
    }
    throw FileFault(
      code: "score.foreignFile",
      message: "\(logits) exists and holds something else than logits; give another --logits or "
        + "remove it",
      exitStatus: .cannotCreate, path: logits)
  }

  private func score(_ model: RunningModel, _ interruption: Interruption) throws -> Score {
    let ids = try ids(model)
    let limits = model.limits
    try limits.check(ids)
    var pieces = ScoringPieces.whole
    if let context {
      guard let bos = bos ?? model.beginningOfSequence else {
        throw TextFault.noBeginning(model.package.directory)
      }
      pieces = .behindBOS(bos, context: context)
    }
    let writer = try logits.map { path in
      try SafetensorsWriter(
        path: path,
        tensors: [("logits", .f32, [ids.count, limits.vocabularySize])])
    }
    let rowBytes = limits.vocabularySize * MemoryLayout<Float>.size
    let receiver: LogitsReceiver? = writer.map { writer in
      { rows, firstRow in
        try unsafe writer.write("logits", rows.span.bytes, at: firstRow * rowBytes)
      }
    }
    let bar = common.makeProgressBar()
    let scorer = Scorer(runner: model.pipeline, limits: limits, compute: model.shard.compute)
    let score = try scorer.score(ids, pieces: pieces, logits: receiver) { done in
      let size = MemoryLayout<Int32>.size
      bar.handler(
        ProgressUpdate(
          phase: "score", completedBytes: done * size, totalBytes: ids.count * size))
      return !interruption.isRequested
    }
    bar.finish()
    try writer?.finish()
    return score
  }

  private func ids(_ model: RunningModel) throws -> [Int32] {
    if let tokenIDs { return tokenIDs.ids }
    if let tokenFile { return try TokenFile.read(tokenFile) }
    guard let textFile else { return [] }
    return try model.encode(try TextFile.read(textFile), addSpecialTokens: context == nil)
  }

  private func report(_ score: Score, _ seconds: Double, _ nodes: NodeReport) {
    if common.json {
      var object: JSONObject = [
        "schema": "shardrun.score/1",
        "perplexity": .optional(score.perplexity),
        "tokens": JSONValue(score.tokens),
        "nll": .double(score.negativeLogLikelihood),
        "piece_nll": .array(score.pieceSums.map { .double($0) }),
        "seconds": .double(seconds),
        "nodes": nodes.json,
      ]
      object["logits"] = logits.map { .string($0) }
      Console.write(.object(object))
      return
    }
    if let perplexity = score.perplexity {
      Console.write("perplexity \(Quantity.fixed(perplexity, digits: 5))\n")
    }
    Console.write("tokens \(score.tokens)\n")
    Console.write("nll \(Quantity.fixed(score.negativeLogLikelihood, digits: 5))\n")
    let rate = seconds > 0 ? Double(score.tokens) / seconds : 0
    common.note(
      "\(Quantity.fixed(seconds, digits: 2)) s, \(Quantity.fixed(rate, digits: 1)) tokens/s")
    for line in nodes.lines { common.note(line) }
  }
}
