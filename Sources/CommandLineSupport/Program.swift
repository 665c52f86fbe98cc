import ArgumentParser
import Foundation
import StrictJSON
import TensorCore

/// The frame of a program: parses arguments, runs the command, turns any error into one
/// sentence and an exit status.
public enum Program {
  /// Runs the program; never returns normally where something failed.
  public static func run<Root: ParsableCommand>(_ root: Root.Type) {
    Console.reserveStandardStreams()
    let arguments = ArgumentList(Array(CommandLine.arguments.dropFirst()))
    let asJSON = arguments.words.contains("--json")
    do {
      if let fault = UsageFault(unknownCommandIn: arguments, of: root) { throw fault }
      var command = try Root.parseAsRoot(arguments.words)
      try command.run()
    } catch let error as any Fault {
      exit(reporting: error, asJSON: asJSON)
    } catch {
      // Help, versions, completions, and commands that have reported their failure themselves.
      let status = Root.exitCode(for: error)
      if status.isSuccess || error is ExitCode { Root.exit(withError: error) }
      guard status == .validationFailure else {
        exit(reporting: UnexpectedFault(error), asJSON: asJSON)
      }
      exit(reporting: UsageFault(error, arguments, of: root), asJSON: asJSON)
    }
  }

  /// Prints the error as one sentence, or as JSON to standard output, and ends the program.
  public static func exit(reporting fault: any Fault, asJSON: Bool) -> Never {
    if asJSON {
      Console.write(object(for: fault))
    } else {
      Console.writeError("error: \(singleLine(fault.message))\n")
      if let usage = fault as? UsageFault { Console.writeError("see \(usage.help)\n") }
    }
    Foundation.exit(fault.exitStatus.rawValue)
  }

  /// Prints an error after which the program goes on: as a sentence, or as JSON on one line.
  public static func tell(_ fault: any Fault, asJSON: Bool) {
    if asJSON {
      Console.write(object(for: fault).serialized(.compact) + "\n")
    } else {
      Console.writeError("error: \(singleLine(fault.message))\n")
    }
  }

  /// An error as JSON.
  public static func object(for fault: any Fault) -> JSONValue {
    var error: JSONObject = [
      "code": .string(fault.code), "message": .string(singleLine(fault.message)),
    ]
    for (key, value) in fault.context.sorted(by: { $0.key < $1.key }) {
      if error[key] == nil { error[key] = .string(value) }
    }
    error["exit_status"] = JSONValue(Int(fault.exitStatus.rawValue))
    return ["schema": "shard.error/1", "error": .object(error)]
  }

  /// Names from files may hold anything; control characters must not reach a terminal.
  public static func singleLine(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
  }
}

private struct UnexpectedFault: Fault {
  let code = "program.unexpected"
  let message: String
  let exitStatus = ExitStatus.bug

  init(_ error: any Error) { message = "unexpected error: \(error)" }
}
