import ArgumentParser
import Foundation
import StrictJSON
import TensorCore

/// The frame of a program: parses arguments, runs the command, turns any error into one
/// sentence and an exit status.
public enum Program {
  /// Runs the program; never returns normally where something failed.
  public static func run<Root: ParsableCommand>(_ root: Root.Type) {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      var command = try Root.parseAsRoot(arguments)
      try command.run()
    } catch let error as any Fault {
      exit(reporting: error, asJSON: arguments.contains("--json"))
    } catch {
      if isArgumentError(error) || !arguments.contains("--json") { Root.exit(withError: error) }
      exit(reporting: UnexpectedFault(error), asJSON: true)
    }
  }

  private static func isArgumentError(_ error: any Error) -> Bool {
    error is CleanExit || error is ValidationError || error is ExitCode
      || "\(type(of: error))".contains("CommandError")
  }

  /// Prints the error as one sentence, or as JSON to standard output, and ends the program.
  public static func exit(reporting fault: any Fault, asJSON: Bool) -> Never {
    if asJSON {
      var error: JSONObject = ["code": .string(fault.code), "message": .string(fault.message)]
      for (key, value) in fault.context.sorted(by: { $0.key < $1.key }) {
        if error[key] == nil { error[key] = .string(value) }
      }
      error["exit_status"] = JSONValue(Int(fault.exitStatus.rawValue))
      Console.write(["schema": "shard.error/1", "error": .object(error)])
    } else {
      Console.writeError("error: \(singleLine(fault.message))\n")
    }
    Foundation.exit(fault.exitStatus.rawValue)
  }

  /// Names from files may hold anything; control characters must not reach a terminal.
  private static func singleLine(_ text: String) -> String {
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
