import ArgumentParser
import StrictJSON
import TensorCore

/// Words of a command line, with negative numbers joined to the options before them.
///
/// `--context -5` means a value that is out of range, and not an option named 5.
struct ArgumentList {
  private(set) var words: [String] = []

  init(_ raw: [String]) {
    for word in raw {
      if Self.isNegativeNumber(word), let last = words.last, last.hasPrefix("--"), last != "--",
        !last.contains("=")
      {
        words[words.count - 1] = "\(last)=\(word)"
      } else {
        words.append(word)
      }
    }
  }

  private static func isNegativeNumber(_ word: String) -> Bool {
    guard word.hasPrefix("-"), let second = word.dropFirst().first else { return false }
    return second.isASCII && second.isNumber || second == "."
  }
}

/// A command line that does not say what to do.
struct UsageFault: Fault {
  let code = "usage"
  let message: String
  let exitStatus = ExitStatus.usage
  /// The command that explains more.
  let help: String

  /// What the argument parser or a command's own check has found, as one sentence.
  init<Root: ParsableCommand>(_ error: any Error, _ arguments: ArgumentList, of root: Root.Type) {
    let lines = Root.message(for: error).split(separator: "\n")
    let text = lines.map { $0.drop { $0 == " " } }.joined(separator: " ")
    message = text.hasSuffix(".") ? String(text.dropLast()) : text
    let name = arguments.words.first.flatMap { Self.commands(of: root).contains($0) ? $0 : nil }
    help = ([Self.name(of: root)] + (name.map { [$0] } ?? []) + ["--help"]).joined(separator: " ")
  }

  /// Nil where the first word is a command or an option.
  init?<Root: ParsableCommand>(unknownCommandIn arguments: ArgumentList, of root: Root.Type) {
    let names = Self.commands(of: root)
    guard let first = arguments.words.first, !first.hasPrefix("-"), !names.isEmpty,
      !names.contains(first), first != "help"
    else { return nil }
    let shown = Root.configuration.subcommands.filter { $0.configuration.shouldDisplay }
    message =
      "there is no command \(Excerpt.quoted(first)); give one of "
      + shown.map { Self.name(of: $0) }.joined(separator: ", ")
    help = "\(Self.name(of: root)) --help"
  }

  private static func name(of command: any ParsableCommand.Type) -> String {
    command.configuration.commandName ?? "\(command)".lowercased()
  }

  private static func commands(of root: any ParsableCommand.Type) -> [String] {
    root.configuration.subcommands.map { name(of: $0) }
  }
}
