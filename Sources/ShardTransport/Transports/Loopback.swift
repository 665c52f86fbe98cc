import NIOCore
import NIOPosix

/// The addresses of one imagined network within a process.
public final class LoopbackNetwork: Sendable {
  fileprivate struct Place: Sendable {
    let machine: LoopbackMachine
    let timing: LinkTiming
    let accept: @Sendable (Link) -> (any LinkHandler)?
  }

  private struct Places {
    var nextPort = 1
    var listening: [HostPort: Place] = [:]
  }

  private let places = Monitor(Places())

  public init() {}

  fileprivate func listen(at address: HostPort, _ place: Place) throws(TransportFault) -> HostPort {
    try places.withLock { places throws(TransportFault) in
      if address.port == 0 { places.nextPort += 1 }
      let port = address.port == 0 ? places.nextPort : address.port
      let actual = HostPort(host: address.host, port: port)
      guard places.listening[actual] == nil else {
        throw TransportFault.cannotListen(at: address, "Address already in use")
      }
      places.listening[actual] = place
      return actual
    }
  }

  fileprivate func close(_ address: HostPort) {
    places.withLock { _ = $0.listening.removeValue(forKey: address) }
  }

  fileprivate func place(at address: HostPort) -> Place? {
    places.withLock { $0.listening[address] }
  }
}

/// Links within one process, for tests: frames are encoded and decoded as on a network, and a
/// machine on it can be stopped or cut off.
public final class LoopbackTransport: Transport {
  public static let name = "loopback"

  private let network: LoopbackNetwork
  private let timing: LinkTiming
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private let machine: LoopbackMachine

  /// One machine on a network.
  public init(network: LoopbackNetwork = LoopbackNetwork(), timing: LinkTiming = LinkTiming()) {
    self.network = network
    self.timing = timing
    machine = LoopbackMachine(loop: group.next())
  }

  public func listen(
    at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
  ) throws(TransportFault) -> any Listener {
    let actual = try network.listen(
      at: address, .init(machine: machine, timing: timing, accept: handler))
    return LoopbackListener(address: actual, network: network)
  }

  public func connect(
    to address: HostPort, timeout: Duration, handler: any LinkHandler
  ) throws(TransportFault) -> Link {
    guard let place = network.place(at: address) else {
      throw TransportFault.cannotConnect(to: address, "Connection refused")
    }
    let near = Link(remote: "\(address)", timing: timing)
    let far = Link(remote: "loopback", timing: place.timing)
    guard let farHandler = place.accept(far) else {
      throw TransportFault.cannotConnect(to: address, "Connection refused")
    }
    let nearEnd = LoopbackEnd(near, on: machine)
    let farEnd = LoopbackEnd(far, on: place.machine)
    near.attach(LoopbackWire(from: nearEnd, to: farEnd), handler)
    far.attach(LoopbackWire(from: farEnd, to: nearEnd), farHandler)
    nearEnd.startTicking()
    farEnd.startTicking()
    return near
  }

  /// Stops the machine as SIGSTOP does: what is sent to it waits.
  public func freeze() { machine.freeze() }

  /// Lets the machine go on with all that has waited.
  public func thaw() { machine.thaw() }

  public func shutdown() { try? group.syncShutdownGracefully() }
}

private struct LoopbackListener: Listener {
  let address: HostPort
  let network: LoopbackNetwork

  func close() { network.close(address) }
}

/// Where everything happens that belongs to one machine: a loop that can be stopped.
private final class LoopbackMachine: Sendable {
  private struct Gate {
    var isFrozen = false
    var waiting: [@Sendable () -> Void] = []
  }

  let loop: any EventLoop
  private let gate = Monitor(Gate())

  init(loop: any EventLoop) { self.loop = loop }

  func run(_ event: @escaping @Sendable () -> Void) {
    let waits = gate.withLock { gate in
      if gate.isFrozen { gate.waiting.append(event) }
      return gate.isFrozen
    }
    if !waits { loop.execute(event) }
  }

  var isFrozen: Bool { gate.withLock { $0.isFrozen } }

  func freeze() { gate.withLock { $0.isFrozen = true } }

  func thaw() {
    gate.withLock { gate in
      for event in gate.waiting { loop.execute(event) }
      gate = Gate()
    }
  }
}

/// One side of a link; everything about it happens on its machine's loop.
private final class LoopbackEnd: Sendable {
  struct State {
    var reader: LinkReader
    var ticks: RepeatedTask?
    var isClosed = false
  }

  let machine: LoopbackMachine
  private let state: NIOLoopBoundBox<State>

  init(_ link: Link, on machine: LoopbackMachine) {
    self.machine = machine
    state = .makeBoxSendingValue(State(reader: LinkReader(link)), eventLoop: machine.loop)
  }

  func startTicking() {
    machine.loop.execute { [self] in
      guard !state.value.isClosed else { return }
      let link = state.value.reader.link
      let interval = TimeAmount.nanoseconds(link.timing.tick.inNanoseconds)
      state.value.ticks = machine.loop.scheduleRepeatedTask(
        initialDelay: interval, delay: interval
      ) { [machine] _ in
        if !machine.isFrozen { link.tick() }
      }
    }
  }

  /// Encodes a frame and gives its bytes to the other side.
  func send(_ frame: Frame, to other: LoopbackEnd) {
    guard !state.value.isClosed else { return }
    let bytes = state.value.reader.header(of: frame) + frame.payload
    state.value.reader.link.sent(byteCount: frame.byteCount)
    other.machine.run { other.read(bytes) }
  }

  private func read(_ bytes: [UInt8]) {
    guard !state.value.isClosed else { return }
    unsafe state.value.reader.read(bytes.span.bytes)
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
    from.machine.run { from.send(frame, to: to) }
  }

  func disconnect(lingering: Bool) {
    from.machine.run {
      from.close()
      to.machine.run { to.close() }
    }
  }
}
