import Foundation
import StrictJSON
import TensorCore

/// A node process on this machine that could not be started or that ended before its time.
public struct LocalFault: Fault {
  public let code: String
  public let message: String
  public let exitStatus: ExitStatus
  public let context: [String: String]

  private init(
    _ code: String, _ exitStatus: ExitStatus, _ message: String, context: [String: String] = [:]
  ) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
    self.context = context
  }

  static func cannotStart(errno number: Int32) -> LocalFault {
    let reason = unsafe String(cString: strerror(number))
    return LocalFault(
      "local.cannotStart", .tryAgain,
      "cannot start a node process: \(reason); close other programs and run it again")
  }

  static func died(node: String, _ exit: ChildExit?) -> LocalFault {
    let how = exit.map { "\($0)" } ?? "closed its connection"
    return LocalFault(
      "local.nodeDied", .unavailable,
      "the process of \(node) \(how) in the middle of its work; run the command again",
      context: ["node": node])
  }

  /// The error that a child printed before it ended, under the name of its node.
  static func reported(by node: String, _ error: JSONObject) -> LocalFault? {
    guard let code = error["code"]?.string, let message = error["message"]?.string,
      let status = error["exit_status"]?.int
    else { return nil }
    var context = ["node": node]
    for (key, value) in error.members where !["code", "message", "exit_status"].contains(key) {
      context[key] = value.string
    }
    return LocalFault(
      code, ExitStatus(rawValue: Int32(clamping: status)) ?? .unavailable, "\(node): \(message)",
      context: context)
  }

  static var interrupted: LocalFault {
    LocalFault("local.interrupted", .tryAgain, "interrupted before every node was ready")
  }
}
