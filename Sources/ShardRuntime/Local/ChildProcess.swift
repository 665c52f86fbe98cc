import Foundation
import Synchronization
import TensorCore

/// How a child process ended.
public enum ChildExit: Sendable, Equatable, CustomStringConvertible {
  case status(Int32)
  case signal(Int32)

  public var description: String {
    switch self {
    case .status(let status): "ended with status \(status)"
    case .signal(let number): "was killed by signal \(number)"
    }
  }
}

/// A program that runs beside this one and cannot outlive it.
///
/// The child's standard input is a pipe that nobody writes to: it ends when this process does,
/// by whatever means, and the child takes that as the order to end. Standard output comes back
/// through another pipe, standard error is shared. The child has a process group of its own, so
/// that the terminal's Ctrl-C reaches this process alone, which then ends its children in order.
public final class ChildProcess: Sendable {
  public let identifier: pid_t
  /// The child's standard output.
  let output: FileDescriptor
  private let input: FileDescriptor
  private let exit = Mutex<ChildExit?>(nil)

  /// Throws: `LocalFault` where the system refuses to start the program.
  public init(program: String, arguments: [String]) throws(LocalFault) {
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    identifier = try spawn(
      program, arguments, input: input.reading.number, output: output.writing.number)
    self.input = input.writing
    self.output = output.reading
  }

  deinit { stop(gracePeriod: .zero) }

  /// Tells the child to end, without waiting for it.
  public func requestEnd() { input.close() }

  /// How the child ended; nil while it runs.
  public var ended: ChildExit? {
    exit.withLock { known in
      if known == nil {
        var status: Int32 = 0
        if unsafe waitpid(identifier, &status, WNOHANG) == identifier { known = Self.exit(status) }
      }
      return known
    }
  }

  /// Tells the child to end, kills it where it takes longer than the grace period, and waits.
  public func stop(gracePeriod: Duration = .seconds(1)) {
    requestEnd()
    let deadline = ContinuousClock.now + gracePeriod
    while ended == nil, ContinuousClock.now < deadline { usleep(2000) }
    guard ended == nil else { return }
    kill(identifier, SIGKILL)
    while ended == nil { usleep(500) }
  }

  private static func exit(_ status: Int32) -> ChildExit {
    let signal = status & 0x7f
    return signal == 0 ? .status((status >> 8) & 0xff) : .signal(signal)
  }
}

/// A file descriptor that its owner closes once.
final class FileDescriptor: Sendable {
  private let open: Mutex<Int32?>
  let number: Int32

  init(_ number: Int32) {
    self.number = number
    open = Mutex(number)
  }

  deinit { close() }

  func close() {
    open.withLock { number in
      if let number { _ = Foundation.close(number) }
      number = nil
    }
  }

  /// Both ends of a pipe, neither of which a child inherits unless it is told to.
  static func pipe() throws(LocalFault) -> (reading: FileDescriptor, writing: FileDescriptor) {
    var ends: [Int32] = [-1, -1]
    guard unsafe Foundation.pipe(&ends) == 0 else { throw .cannotStart(errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (FileDescriptor(ends[0]), FileDescriptor(ends[1]))
  }

  enum ReadResult: Equatable {
    case bytes([UInt8])
    case end
    case nothingYet
  }

  /// What can be read within the time, at most 64 KiB.
  func read(within time: Duration) -> ReadResult {
    var waiting = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
    let milliseconds = Int32(clamping: Int((time.seconds * 1000).rounded(.up)))
    guard unsafe poll(&waiting, 1, milliseconds) > 0 else { return .nothingYet }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe Foundation.read(number, &bytes, bytes.count)
    if count < 0 { return errno == EINTR || errno == EAGAIN ? .nothingYet : .end }
    return count == 0 ? .end : .bytes(Array(bytes[..<count]))
  }
}

/// Starts a program with the given standard input and output in a process group of its own.
private func spawn(
  _ program: String, _ arguments: [String], input: Int32, output: Int32
) throws(LocalFault) -> pid_t {
  #if canImport(Glibc)
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
  #else
    var actions: posix_spawn_file_actions_t?
    var attributes: posix_spawnattr_t?
  #endif
  unsafe posix_spawn_file_actions_init(&actions)
  unsafe posix_spawnattr_init(&attributes)
  defer {
    unsafe posix_spawn_file_actions_destroy(&actions)
    unsafe posix_spawnattr_destroy(&attributes)
  }
  unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
  unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
  // The child begins with no signal blocked or ignored, whatever this process does with them.
  var none = sigset_t()
  var all = sigset_t()
  unsafe sigemptyset(&none)
  unsafe sigemptyset(&all)
  for signal in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { unsafe sigaddset(&all, signal) }
  unsafe posix_spawnattr_setsigmask(&attributes, &none)
  unsafe posix_spawnattr_setsigdefault(&attributes, &all)
  unsafe posix_spawnattr_setpgroup(&attributes, 0)
  let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
  unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

  let environment = ProcessInfo.processInfo.environment.map { "\($0)=\($1)" }
  var identifier: pid_t = 0
  let number = unsafe withCStrings([program] + arguments) { words in
    unsafe withCStrings(environment) { variables in
      unsafe posix_spawn(&identifier, program, &actions, &attributes, words, variables)
    }
  }
  guard number == 0 else { throw .cannotStart(errno: number) }
  return identifier
}

/// Lends strings as a C array that ends with a null pointer.
private func withCStrings<Result>(
  _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
  let copies = unsafe strings.map { unsafe strdup($0) }
  defer { unsafe copies.forEach { unsafe free($0) } }
  return unsafe body(copies + [nil])
}
