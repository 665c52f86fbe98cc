import NIOCore
import NIOPosix

/// Links within one process, for tests: frames are encoded and decoded as on a network.
public final class LoopbackTransport: Transport {
  public static let name = "loopback"

  private typealias Accept = @Sendable (Link) -> (any LinkHandler)?
  private struct Ports {
    var next = 1
    var accepting: [HostPort: Accept] = [:]
  }

  private let group: MultiThreadedEventLoopGroup
  private let timing: LinkTiming
  private let ports = Monitor(Ports())

  public init(timing: LinkTiming = LinkTiming()) {
    self.timing = timing
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  }

  public func listen(
    at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
  ) throws(TransportFault) -> any Listener {
    try ports.withLock { ports throws(TransportFault) in
      if address.port == 0 { ports.next += 1 }
      let port = address.port == 0 ? ports.next : address.port
      let actual = HostPort(host: address.host, port: port)
      guard ports.accepting[actual] == nil else {
        throw TransportFault.cannotListen(at: address, "Address already in use")
      }
      ports.accepting[actual] = handler
      return LoopbackListener(address: actual) { [self] in
        self.ports.withLock { _ = $0.accepting.removeValue(forKey: actual) }
      }
    }
  }

  public func connect(
    to address: HostPort, timeout: Duration, handler: any LinkHandler
  ) throws(TransportFault) -> Link {
    guard let accept = ports.withLock({ $0.accepting[address] }) else {
      throw TransportFault.cannotConnect(to: address, "Connection refused")
    }
    let near = Link(remote: "\(address)", timing: timing)
    let far = Link(remote: "loopback", timing: timing)
    guard let farHandler = accept(far) else {
      throw TransportFault.cannotConnect(to: address, "Connection refused")
    }
    let loop = group.next()
    let (nearEnd, farEnd) = (LoopbackEnd(near, loop), LoopbackEnd(far, loop))
    near.attach(LoopbackWire(from: nearEnd, to: farEnd), handler)
    far.attach(LoopbackWire(from: farEnd, to: nearEnd), farHandler)
    for end in [nearEnd, farEnd] { end.startTicking() }
    return near
  }

  public func shutdown() { try? group.syncShutdownGracefully() }
}

private struct LoopbackListener: Listener {
  let address: HostPort
  let onClose: @Sendable () -> Void

  func close() { onClose() }
}

/// One side of a link; everything about it happens on the loop.
private final class LoopbackEnd: Sendable {
  let loop: any EventLoop
  private let state: NIOLoopBoundBox<State>

  struct State {
    var reader: LinkReader
    var ticks: RepeatedTask?
    var isClosed = false
  }

  init(_ link: Link, _ loop: any EventLoop) {
    self.loop = loop
    state = .makeBoxSendingValue(State(reader: LinkReader(link)), eventLoop: loop)
  }

  func startTicking() {
    loop.execute { [self] in
      let link = state.value.reader.link
      let interval = TimeAmount.nanoseconds(link.timing.tick.inNanoseconds)
      state.value.ticks = loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
        link.tick()
      }
    }
  }

  /// Encodes a frame and gives its bytes to the other side.
  func send(_ frame: Frame, to other: LoopbackEnd) {
    guard !state.value.isClosed else { return }
    let bytes = state.value.reader.header(of: frame) + frame.payload
    state.value.reader.link.sent(byteCount: frame.byteCount)
    loop.execute {
      guard !other.state.value.isClosed else { return }
      unsafe other.state.value.reader.read(bytes.span.bytes)
    }
  }

  func close() {
    guard !state.value.isClosed else { return }
    state.value.isClosed = true
    state.value.ticks?.cancel()
    state.value.reader.link.disconnected()
  }
}

private struct LoopbackWire: Wire {
  let from: LoopbackEnd
  let to: LoopbackEnd

  func transmit(_ frame: Frame) {
    from.loop.execute { from.send(frame, to: to) }
  }

  func disconnect() {
    from.loop.execute {
      from.close()
      to.loop.execute { to.close() }
    }
  }
}
