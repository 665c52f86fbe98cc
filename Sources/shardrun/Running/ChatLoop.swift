import ArgumentParser
import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore

/// Reads messages, prints answers, until the input ends.
struct ChatLoop {
  let model: RunningModel
  var conversation: Conversation
  let common: CommonOptions
  /// Whether a line of input is a JSON string.
  let readsJSON: Bool
  let interruption: Interruption
  private let stop = AnswerStop()
  private var lines = InputLines()
  private var turn = 0
  /// Whether somebody still reads the answers.
  private var isRead = true
  private let isTerminal = Console.inputIsTerminal

  init(
    model: RunningModel, conversation: Conversation, common: CommonOptions, readsJSON: Bool,
    interruption: Interruption
  ) {
    self.model = model
    self.conversation = conversation
    self.common = common
    self.readsJSON = readsJSON
    self.interruption = interruption
  }

  private enum Command: String, CaseIterable {
    case help, reset, exit

    var text: String { "/\(rawValue)" }

    var explanation: String {
      switch self {
      case .help: "lists the commands"
      case .reset: "begins a new chat"
      case .exit: "ends the chat, as Ctrl-D does"
      }
    }
  }

  /// Answers until the input ends, or nobody reads the answers any more.
  ///
  /// A line that is no message is told and passed over; where nobody typed it, the exit status
  /// says in the end that there was one.
  ///
  /// Throws: what ends the chat. At a terminal that is the loss of a node or of the input;
  ///   elsewhere the first message that cannot be answered ends it too.
  mutating func run() throws {
    interruption.onInterrupt { [stop] in stop.interrupt() }
    if isTerminal { common.note("type a message; Ctrl-C stops an answer, /help lists commands") }
    var hasBadLine = false
    do {
      while !interruption.isRequested, isRead {
        do {
          guard let line = try nextLine(), try take(line) else { break }
        } catch let fault as TextFault {
          hasBadLine = true
          Program.tell(fault, asJSON: common.json)
          isRead = isRead && Console.outputIsRead
        }
      }
    } catch let fault as any Fault where common.json {
      // The other objects stand on one line each; so does this one.
      Program.tell(fault, asJSON: true)
      throw ExitCode(fault.exitStatus.rawValue)
    }
    if hasBadLine, !isTerminal, isRead { throw ExitCode(ExitStatus.badData.rawValue) }
  }

  /// Follows a command or answers a message; false where the chat ends.
  private mutating func take(_ line: String) throws -> Bool {
    let word = line.trimmed
    if !readsJSON, let command = Command.allCases.first(where: { $0.text == word }) {
      follow(command)
      return command != .exit
    }
    if isTerminal, !readsJSON, Self.looksLikeCommand(word) {
      common.note("there is no command \(word); /help lists those there are")
    } else if !word.isEmpty {
      try answer(try message(line))
    }
    return true
  }

  private mutating func nextLine() throws -> String? {
    if isTerminal { Console.writeError("> ") }
    return try lines.next(isInterrupted: { [interruption] in interruption.isRequested })
  }

  private static func looksLikeCommand(_ text: String) -> Bool {
    text.hasPrefix("/") && text.dropFirst().allSatisfy { $0.isASCII && $0.isLetter }
  }

  private mutating func follow(_ command: Command) {
    switch command {
    case .help:
      for command in Command.allCases {
        Console.writeError("\(command.text)  \(command.explanation)\n")
      }
    case .reset:
      conversation.restart()
      common.note("a new chat begins")
    case .exit: break
    }
  }

  private func message(_ line: String) throws -> String {
    guard readsJSON else { return line }
    guard let text = try? JSONParsing().parse(Array(line.utf8)).string else {
      throw TextFault.notJSONText(line: lines.count)
    }
    return text
  }

  private mutating func answer(_ message: String) throws {
    do {
      let result = try stop.during { try streamed(message) }
      turn += 1
      report(result)
    } catch let fault as any Fault where isTerminal && Self.isSurvivable(fault) {
      Program.tell(fault, asJSON: common.json)
    }
  }

  /// Whether the chat is as it was before the message that caused this.
  private static func isSurvivable(_ fault: any Fault) -> Bool {
    [.badData, .doesNotFit, .usage].contains(fault.exitStatus)
  }

  private mutating func streamed(_ message: String) throws -> GenerationResult {
    var output = StreamOutput()
    let isSilent = common.json
    var hasBegun = false
    defer {
      output.finishLine()
      isRead = isRead && output.isOpen
    }
    return try model.run {
      try conversation.answer(message) { step in
        // Many vocabularies begin a text with a space.
        let text = hasBegun ? step.text : String(step.text.drop { $0 == " " })
        hasBegun = hasBegun || !text.isEmpty
        if !isSilent { output.write(text) }
        let hasReader = isSilent ? Console.outputIsRead : output.isOpen
        return hasReader && !interruption.isRequested && !stop.isRequested
      }
    }
  }

  private mutating func report(_ result: GenerationResult) {
    if common.json {
      isRead = Console.writeWhileRead(ChatReport(turn: turn, result: result).line)
    } else {
      let report = GenerationReport(
        result: result, plan: model.shard.plan, loadSeconds: nil,
        nodes: NodeReport(model.shard, []))
      for line in report.lines(withNodes: false) { common.note(line) }
    }
    if result.finishReason == .context {
      common.note(
        "the context of \(Quantity.count(model.limits.context, "position")) is full; /reset begins "
          + "a new chat")
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
  }
}
