import Foundation
import TestSupport

/// What a program has printed so far.
///
// SAFETY: the bytes are read and written under the lock.
private final class Printed: @unchecked Sendable {
  private let lock = NSLock()
  private var bytes = Data()

  func append(_ data: Data) { lock.withLock { bytes.append(data) } }

  var text: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }
}

/// A program of this build, or one by its absolute path, that runs while a test looks on, and no
/// longer than that.
final class RunningProgram {
  private let process = Process()
  private let printed = (output: Printed(), errors: Printed())
  private let readers = DispatchGroup()

  init(
    _ program: String, _ arguments: [String], in directory: String? = nil,
    environment: [String: String] = [:], input: FileHandle = .nullDevice
  ) throws {
    let path = program.hasPrefix("/") ? program : "\(Places.programs)/\(program)"
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = input
    let pipes = (Pipe(), Pipe())
    process.standardOutput = pipes.0
    process.standardError = pipes.1
    try process.run()
    collect(pipes.0, printed.output)
    collect(pipes.1, printed.errors)
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  /// Reads a pipe to its end on a thread that does not keep this object.
  private func collect(_ pipe: Pipe, _ printed: Printed) {
    readers.enter()
    Thread.detachNewThread { [readers] in
      while true {
        let data = pipe.fileHandleForReading.availableData
        guard !data.isEmpty else { break }
        printed.append(data)
      }
      readers.leave()
    }
  }

  var identifier: Int32 { process.processIdentifier }
  var isRunning: Bool { process.isRunning }
  var output: String { printed.output.text }
  var errors: String { printed.errors.text }

  func send(_ signal: Int32) { kill(identifier, signal) }

  /// Waits for something to become true; false where it did not within the time.
  static func wait(seconds: Double, until condition: () -> Bool) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while !condition() {
      guard Date() < deadline else { return false }
      usleep(2000)
    }
    return true
  }

  /// How the program ended, with all it printed; nil where it still runs after the time.
  func finish(withinSeconds seconds: Double) -> (status: Int32, bySignal: Bool)? {
    guard Self.wait(seconds: seconds, until: { !process.isRunning }) else { return nil }
    _ = readers.wait(timeout: .now() + 2)
    return (process.terminationStatus, process.terminationReason == .uncaughtSignal)
  }

  /// Processes that this one started.
  var children: [Int32] { Self.children(of: identifier) }

  static func children(of identifier: Int32) -> [Int32] { processes { $0 == identifier } }

  /// Whether a process is there and no zombie.
  static func exists(_ identifier: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(identifier)/stat", encoding: .utf8),
      let end = text.lastIndex(of: ")")
    else { return false }
    return text[end...].split(separator: " ").dropFirst().first != "Z"
  }

  /// Whether a process runs whose command line holds all these texts.
  static func isRunning(with texts: [String]) -> Bool { count(with: texts) > 0 }

  /// How many such processes run.
  static func count(with texts: [String]) -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.count { name in
      guard Int32(name) != nil,
        let line = try? String(contentsOfFile: "/proc/\(name)/cmdline", encoding: .utf8)
      else { return false }
      return texts.allSatisfy { line.contains($0) }
    }
  }

  private static func processes(withParent matches: (Int32) -> Bool) -> [Int32] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.filter { identifier in
      guard let text = try? String(contentsOfFile: "/proc/\(identifier)/stat", encoding: .utf8),
        let end = text.lastIndex(of: ")")
      else { return false }
      let fields = text[end...].split(separator: " ")
      return fields.count > 2 && Int32(fields[2]).map(matches) == true
    }.sorted()
  }
}
