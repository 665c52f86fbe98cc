import Foundation

/// One finished run of a program.
public struct ProgramRun: Sendable {
  public let status: Int32
  public let output: String
  public let errors: String

  /// Runs `shardtool`, `shardrun` or another program by path to its end.
  ///
  /// - Parameters:
  ///   - program: a name in the build directory, or an absolute path.
  ///   - input: bytes for standard input; nil gives an empty one.
  public static func run(
    _ program: String, _ arguments: [String], in directory: String? = nil,
    environment: [String: String] = [:], input: String? = nil
  ) throws -> ProgramRun {
    let process = Process()
    let path = program.hasPrefix("/") ? program : "\(Places.programs)/\(program)"
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    // Keys that this machine's user trusts are none of the tests' business.
    let nobody = environment["XDG_CONFIG_HOME"] == nil ? ["SHARD_TRUST": ""] : [:]
    process.environment = ProcessInfo.processInfo.environment
      .merging(nobody) { $1 }.merging(environment) { $1 }
    let output = Pipe()
    let errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    if let input {
      let pipe = Pipe()
      process.standardInput = pipe
      try process.run()
      try? pipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
      try? pipe.fileHandleForWriting.close()
    } else {
      process.standardInput = FileHandle.nullDevice
      try process.run()
    }
    let collector = Collector()
    let reader = Thread { collector.store(errors.fileHandleForReading.readDataToEndOfFile()) }
    reader.start()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return ProgramRun(
      status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
      errors: String(decoding: collector.wait(), as: UTF8.self))
  }
}

/// Hands the bytes that one thread read to another.
///
// SAFETY: the semaphore orders the write before the read.
private final class Collector: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var data = Data()

  func store(_ data: Data) {
    self.data = data
    done.signal()
  }

  func wait() -> Data {
    done.wait()
    return data
  }
}
