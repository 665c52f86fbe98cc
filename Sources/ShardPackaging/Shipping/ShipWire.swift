import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Why the other side cannot be talked to any more: a matter of the wire, not of what was said.
public enum ShipInterruption: Error, Equatable, Sendable {
  /// The other side is gone.
  case ended
  /// It has neither taken nor sent a byte for too long.
  case silent
}

/// Two descriptors that carry the frames of one shipment, for one thread.
///
/// While it waits to write, it takes in what the other side says, so that two sides never wait
/// for one another. What it takes in before somebody asks is bounded.
public final class ShipWire {
  private let input: Int32
  private let output: Int32
  private let patience: Int32
  private var pending: [UInt8] = []
  private var scratch = [UInt8](repeating: 0, count: 256 << 10)
  private var inputEnded = false
  private var isClosed = false
  /// Bytes written so far: what the shipment cost.
  public private(set) var sentByteCount = 0

  private static let pendingLimit = 64 << 10

  /// Takes the descriptors over; closes them with the value.
  ///
  /// - Parameter patience: seconds without a byte in either direction after which it gives up.
  public init(input: Int32, output: Int32, patience: Int = 120) {
    self.input = input
    self.output = output
    self.patience = Int32(clamping: patience * 1000)
    // A side that goes away is an error of this wire, not the end of the program.
    _ = signal(SIGPIPE, SIG_IGN)
    for descriptor in [input, output] {
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
  }

  deinit { end() }

  /// Closes the descriptors, which tells the other side that nothing more comes.
  public func end() {
    guard !isClosed else { return }
    isClosed = true
    close(input)
    if output != input { close(output) }
  }

  func send(_ frame: ShipFrame) throws { try write(frame.bytes) }

  /// Says who we are.
  func greet() throws { try write(ShipFrame.greeting) }

  /// Waits for the other side's greeting.
  ///
  /// Throws: `PackageFault` where it says something else; `ShipInterruption`.
  func expectGreeting(from place: String) throws {
    let wanted = ShipFrame.greeting
    while pending.count < wanted.count, wanted.starts(with: pending), try fill() {}
    guard pending.starts(with: wanted) else {
      guard !pending.isEmpty else { throw ShipInterruption.ended }
      let heard = String(decoding: pending.prefix(60), as: UTF8.self)
      if wanted.starts(with: pending) { throw ShipInterruption.ended }
      throw PackageFault(
        "greeting",
        "\(place) says \"\(heard)\" where a receiver's greeting belongs; let its login scripts "
          + "print nothing and give it a shardrun of the same version",
        exitStatus: .unavailable, context: ["target": place])
    }
    pending.removeFirst(wanted.count)
  }

  /// The next frame.
  ///
  /// Throws: `ShipInterruption.ended` also where the other side ends between two frames.
  func receive() throws -> ShipFrame {
    while true {
      if let frame = try takeFrame() { return frame }
      guard try fill() else { throw ShipInterruption.ended }
    }
  }

  /// The next frame, if it is here already.
  func receiveIfThere() throws -> ShipFrame? {
    if let frame = try takeFrame() { return frame }
    guard !inputEnded, ready(input, POLLIN, waiting: 0) else { return nil }
    _ = takeIn()
    return try takeFrame()
  }

  private func takeFrame() throws -> ShipFrame? {
    let headerSize = ShipFrame.headerByteCount
    guard pending.count >= headerSize else { return nil }
    let (kind, byteCount) = try FrameKind.header(pending[..<headerSize])
    guard pending.count >= headerSize + byteCount else {
      pending.reserveCapacity(headerSize + byteCount)
      return nil
    }
    let payload = Array(pending[headerSize..<(headerSize + byteCount)])
    pending.removeFirst(headerSize + byteCount)
    return try ShipFrame(kind, payload: payload)
  }

  /// Waits for bytes and takes them in; false at the end.
  private func fill() throws -> Bool {
    guard !inputEnded else { return false }
    guard ready(input, POLLIN, waiting: patience) else { throw ShipInterruption.silent }
    return takeIn()
  }

  /// How much may be taken in now: what the frame that has begun needs, and a little more.
  private var room: Int {
    var wanted = Self.pendingLimit
    if pending.count >= ShipFrame.headerByteCount,
      let header = try? FrameKind.header(pending[..<ShipFrame.headerByteCount])
    {
      wanted = max(wanted, ShipFrame.headerByteCount + header.byteCount)
    }
    return max(0, wanted - pending.count)
  }

  /// Takes in what is there without waiting; false at the end.
  private func takeIn() -> Bool {
    let room = min(room, scratch.count)
    guard room > 0 else { return true }
    let count = unsafe read(input, &scratch, room)
    if count < 0, errno == EAGAIN || errno == EINTR { return true }
    guard count > 0 else {
      inputEnded = true
      return false
    }
    pending += scratch.prefix(count)
    return true
  }

  private func write(_ bytes: [UInt8]) throws {
    var done = 0
    while done < bytes.count {
      var places = [
        pollfd(fd: output, events: Int16(POLLOUT), revents: 0),
        pollfd(fd: input, events: Int16(POLLIN), revents: 0),
      ]
      let listens = !inputEnded && room > 0
      let found = unsafe poll(&places, listens ? 2 : 1, patience)
      if found < 0, errno == EINTR { continue }
      guard found > 0 else { throw ShipInterruption.silent }
      if listens, places[1].revents != 0 { _ = takeIn() }
      guard places[0].revents != 0 else { continue }
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe systemWrite(
          output, buffer.baseAddress.unsafelyUnwrapped + done, buffer.count - done)
      }
      if count < 0 {
        if errno == EAGAIN || errno == EINTR { continue }
        throw ShipInterruption.ended
      }
      done += count
      sentByteCount += count
    }
  }

  private func ready(_ descriptor: Int32, _ events: Int32, waiting: Int32) -> Bool {
    var place = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    while true {
      let found = unsafe poll(&place, 1, waiting)
      if found < 0, errno == EINTR { continue }
      return found > 0
    }
  }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  #if canImport(Glibc)
    unsafe Glibc.write(descriptor, bytes, count)
  #else
    unsafe Darwin.write(descriptor, bytes, count)
  #endif
}

extension ShipWire {
  /// Two wires that lead to one another.
  ///
  /// Throws: `FileFault` where the system has no descriptors left.
  public static func pair(patience: Int = 120) throws(FileFault) -> (ShipWire, ShipWire) {
    var ends: [Int32] = [0, 0]
    #if canImport(Glibc)
      let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #else
      let kind = SOCK_STREAM
    #endif
    guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw FileFault("open", path: "a pair of sockets", errno: errno, isOutput: true)
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (
      ShipWire(input: ends[0], output: ends[0], patience: patience),
      ShipWire(input: ends[1], output: ends[1], patience: patience)
    )
  }
}
