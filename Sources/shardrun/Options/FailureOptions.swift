import ArgumentParser
import ShardRuntime
import TensorCore

/// What happens where a node is lost.
struct FailureOptions: ParsableArguments {
  enum Action: String, ExpressibleByArgument, CaseIterable {
    case wait, abort
  }

  @Option(
    name: .customLong("on-failure"),
    help: """
      Where a node is lost: wait for it to come back and go on, or abort. Nodes of this machine \
      are started again.
      """)
  var action = Action.wait

  @Option(
    name: .customLong("failure-timeout"),
    help: ArgumentHelp(
      "How long to wait for a lost node before giving up: seconds, or a time such as 500ms.",
      valueName: "time"))
  var timeout = "60"

  private var seconds: Double? { Double(timeout) ?? Quantity.seconds(timeout) }

  func validate() throws {
    guard let seconds, seconds > 0, seconds <= 86_400 else {
      throw ValidationError(
        "--failure-timeout takes a time above 0 and up to 86400 seconds, not \"\(timeout)\".")
    }
  }

  var policy: FailurePolicy {
    action == .wait ? .wait(.milliseconds(Int64((seconds ?? 60) * 1000))) : .abort
  }
}
