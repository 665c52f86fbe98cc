import ArgumentParser
import TensorCore

/// Options that every command takes.
public struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON object instead of text.")
  public var json = false

  @Flag(
    name: .shortAndLong, help: "Print results, errors and what --trust-policy warns of only.")
  public var quiet = false

  public init() {}

  /// Prints a line of diagnostics to standard error, unless asked to be quiet.
  public func note(_ line: String) {
    if !quiet { Console.writeError(line + "\n") }
  }

  /// A bar for one long piece of work, silent where asked to be quiet.
  ///
  /// - Parameter orSilent: another reason to be silent.
  public func makeProgressBar(orSilent: Bool = false) -> ProgressBar {
    ProgressBar(isSilent: quiet || orSilent)
  }
}

/// `--threads`, for the commands that compute.
public struct ThreadOptions: ParsableArguments {
  @Option(help: "Compute threads; by default one per core.")
  public var threads: Int?

  public init() {}

  public func validate() throws {
    if let threads, !(1...256).contains(threads) {
      throw ValidationError("--threads takes a number from 1 to 256, not \(threads).")
    }
  }
}

/// A size on the command line, such as `8G` or `512M` (powers of 1024).
public struct ByteSize: ExpressibleByArgument, Sendable {
  public let bytes: Int

  public init(bytes: Int) { self.bytes = bytes }

  public init?(argument: String) {
    guard let bytes = Quantity.bytes(argument) else { return nil }
    self.bytes = bytes
  }

  public var defaultValueDescription: String { Quantity.describe(bytes: bytes) }
}
