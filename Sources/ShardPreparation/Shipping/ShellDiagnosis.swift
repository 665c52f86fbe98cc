import ShardPackaging
import TensorCore

/// What is the matter when ssh ends before the shipment does.
enum ShellDiagnosis {
  /// - Parameters:
  ///   - heardGreeting: whether the receiver over there had begun to speak.
  /// - Returns: the fault, and whether trying again may help.
  static func fault(
    of ending: SecureShell.Ending, destination: String, command: String, heardGreeting: Bool
  ) -> (fault: PreparationFault, isPassing: Bool) {
    if let failure = ending.failure {
      return (
        make(
          "sshMissing", .unavailable, destination,
          "ssh cannot be started (\(failure)); install an OpenSSH client"), false
      )
    }
    let last = ending.errors.split(whereSeparator: \.isNewline).last.map(String.init) ?? ""
    if ending.status == 255, !heardGreeting {
      for known in causes where known.signs.contains(where: ending.errors.contains) {
        return (
          make(
            known.code, known.status, destination,
            "\(destination): \(known.sentence) (ssh says: \(last))"),
          known.isPassing
        )
      }
    }
    if !heardGreeting, let status = ending.status, status == 127 || status == 126 {
      return (
        make(
          "noReceiver", .unavailable, destination,
          "\(destination) has no program \"\(command)\" that can be run; install shardrun there, "
            + "or say with --remote-command where it is"), false
      )
    }
    if !heardGreeting, let status = ending.status, status == 64 {
      return (
        make(
          "oldReceiver", .unavailable, destination,
          "\"\(command)\" at \(destination) knows no command receive; install the same version "
            + "of shardrun there"), false
      )
    }
    let said = last.isEmpty ? "" : " (ssh says: \(last))"
    return (
      make(
        "connectionLost", .tryAgain, destination,
        "the connection to \(destination) was lost\(said); ship again, and it goes on where it "
          + "stopped"), true
    )
  }

  private static func make(
    _ reason: String, _ status: ExitStatus, _ destination: String, _ message: String
  ) -> PreparationFault {
    PreparationFault(reason, message, exitStatus: status, context: ["target": destination])
  }

  private struct Cause {
    let code: String
    let status: ExitStatus
    let signs: [String]
    let sentence: String
    var isPassing = false
  }

  private static let causes = [
    Cause(
      code: "hostKey", status: .notTrusted,
      signs: [
        "REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed",
        "host key is known", "No matching host key",
      ],
      sentence: "the machine that answers has another host key than the one known, or none is "
        + "known yet: log in once with ssh and compare its fingerprint"),
    Cause(
      code: "authentication", status: .notTrusted,
      signs: ["Permission denied", "Too many authentication failures"],
      sentence: "ssh may not log in without a password: add a key to the other machine's "
        + "authorized_keys, or to your ssh-agent"),
    Cause(
      code: "refused", status: .unavailable, signs: ["Connection refused"],
      sentence: "nobody listens there: start sshd on the other machine, or give its port with -p",
      isPassing: true),
    Cause(
      code: "unknownHost", status: .unavailable, signs: ["Could not resolve hostname"],
      sentence: "there is no machine of that name; check the name or give an address"),
    Cause(
      code: "unreachable", status: .unavailable,
      signs: ["No route to host", "Network is unreachable", "timed out"],
      sentence: "the machine cannot be reached; check that it is on and in this network",
      isPassing: true),
    Cause(
      code: "sshOptions", status: .usage,
      signs: ["Bad configuration option", "Can't open user config file", "command-line"],
      sentence: "ssh does not take its options; check --ssh-option and --ssh-config"),
  ]
}
