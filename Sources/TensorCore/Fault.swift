/// How a program ends; the numbers are those of BSD `sysexits.h`.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  case usage = 64
  case badData = 65
  case noInput = 66
  case unavailable = 69
  case bug = 70
  case cannotCreate = 73
  case inputOutput = 74
  case tryAgain = 75
  case notTrusted = 77
  case doesNotFit = 78
}

/// An error that can be shown to a user: one sentence, a stable code and an exit status.
///
/// Each module has one struct that conforms.
public protocol Fault: Error, Sendable, CustomStringConvertible {
  /// Stable identifier, such as `package.digestMismatch`.
  var code: String { get }
  /// One sentence: file, tensor or node; what was expected and found; what to do.
  var message: String { get }
  var exitStatus: ExitStatus { get }
  /// Details for machines: `file`, `tensor`, `offset`, `layer`, `node` …
  var context: [String: String] { get }
}

extension Fault {
  public var context: [String: String] { [:] }
  public var description: String { message }
}
