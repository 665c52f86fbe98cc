import ShardPackaging
import Subprocess
import Synchronization
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How the system's ssh is called.
public struct SecureShellOptions: Sendable {
  /// `-o` options, as ssh takes them.
  public var options: [String] = []
  public var port: Int?
  /// A configuration file instead of the user's own.
  public var configuration: String?
  /// The receiving program on the other machine, and what stands before `receive`.
  public var remoteCommand = "shardrun"
  /// Which ssh; found in PATH where it has no slash.
  public var program = "ssh"

  public init() {}

  /// The words after `ssh`. Of an option given twice ssh takes the first: it is never to ask for a
  /// password, and never to leave a master behind that holds our pipes.
  func arguments(destination: String, directory: String) -> [String] {
    var words = ["-T", "-o", "BatchMode=yes", "-o", "ControlMaster=no"]
    if let configuration { words += ["-F", configuration] }
    if let port { words += ["-p", String(port)] }
    for option in options { words += ["-o", option] }
    for option in [
      "ConnectTimeout=15", "ServerAliveInterval=5", "ServerAliveCountMax=4", "ForwardX11=no",
      "ForwardAgent=no", "ClearAllForwardings=yes",
    ] { words += ["-o", option] }
    return words + ["--", destination, "\(remoteCommand) receive \(Self.quoted(directory))"]
  }

  /// One word for the other machine's shell, and no option to the program there.
  private static func quoted(_ path: String) -> String {
    let path = path.hasPrefix("-") ? "./\(path)" : path
    return "'"
      + path.split(separator: "'", omittingEmptySubsequences: false)
      .joined(separator: "'\\''") + "'"
  }
}

/// One run of ssh: a wire to the receiver on another machine.
final class SecureShell: Sendable {
  /// How a run ended.
  struct Ending: Sendable {
    /// Nil where it was killed.
    let status: Int32?
    /// The last that ssh, or the program over there, said on standard error.
    let errors: String
    /// Why it could not be started.
    let failure: String?
  }

  private let task: Task<Void, Never>
  private let ending: Handoff

  /// Starts ssh.
  ///
  /// Throws: `FileFault` where the system has no descriptors left.
  static func connect(
    _ words: [String], program: String, patience: Int
  ) throws -> (wire: ShipWire, shell: SecureShell) {
    let toChild = try Pipe()
    let fromChild = try Pipe()
    let wire = ShipWire(input: fromChild.reading, output: toChild.writing, patience: patience)
    let shell = SecureShell(words, program, input: toChild.reading, output: fromChild.writing)
    return (wire, shell)
  }

  private init(_ words: [String], _ program: String, input: Int32, output: Int32) {
    let ending = Handoff()
    self.ending = ending
    task = Task.detached {
      ending.set(await Self.run(words, program, input: input, output: output))
    }
  }

  private static func run(
    _ words: [String], _ program: String, input: Int32, output: Int32
  ) async -> Ending {
    var platform = PlatformOptions()
    platform.teardownSequence = [
      .send(signal: .terminate, allowedDurationToNextStep: .seconds(1))
    ]
    let executable: Executable = program.contains("/") ? .path(.init(program)) : .name(program)
    do {
      let result = try await Subprocess.run(
        executable, arguments: Arguments(words),
        environment: .inherit.updating(["LC_ALL": "C"]), platformOptions: platform,
        input: .fileDescriptor(.init(rawValue: input), closeAfterSpawningProcess: true),
        output: .fileDescriptor(.init(rawValue: output), closeAfterSpawningProcess: true),
        error: .sequence
      ) { execution in
        var tail: [UInt8] = []
        for try await buffer in execution.standardError {
          let piece = unsafe buffer.withUnsafeBytes { unsafe [UInt8]($0) }
          tail += piece
          if tail.count > errorLimit { tail.removeFirst(tail.count - errorLimit) }
        }
        return tail
      }
      var status: Int32?
      if case .exited(let code) = result.terminationStatus { status = code }
      return Ending(
        status: status, errors: String(decoding: result.closureResult, as: UTF8.self),
        failure: nil)
    } catch {
      return Ending(status: nil, errors: "", failure: "\(error)")
    }
  }

  private static let errorLimit = 16 << 10

  /// Waits for the end of ssh, whose wire is closed; ends it where it takes long.
  func wait(seconds: Double = 10) -> Ending {
    if let ending = ending.wait(seconds: seconds) { return ending }
    task.cancel()
    return ending.wait(seconds: 10)
      ?? Ending(status: nil, errors: "", failure: "ssh does not end")
  }
}

/// A pipe whose ends no other child inherits.
private struct Pipe {
  let reading: Int32
  let writing: Int32

  init() throws(FileFault) {
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0 else {
      throw FileFault("open", path: "a pipe", errno: errno, isOutput: true)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    (reading, writing) = (ends[0], ends[1])
  }
}

/// Brings the end of an asynchronous run to a thread that waits for it.
private final class Handoff: Sendable {
  private let value = Mutex<SecureShell.Ending?>(nil)

  func set(_ ending: SecureShell.Ending) { value.withLock { $0 = ending } }

  func wait(seconds: Double) -> SecureShell.Ending? {
    for _ in 0..<Int(seconds * 200) {
      if let ending = value.withLock({ $0 }) { return ending }
      usleep(5000)
    }
    return value.withLock { $0 }
  }
}
