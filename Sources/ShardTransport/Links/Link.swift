import Synchronization

/// Carries the frames of one link over something; each transport has one.
///
/// A wire calls its link one call at a time, in the order of what happened, and never from inside
/// `transmit` or `disconnect`, which return at once.
public protocol Wire: Sendable {
  /// Sends a frame after those before it.
  func transmit(_ frame: Frame)
  /// Sends what is on its way, then closes; `Link.disconnected` follows in any case.
  ///
  /// - Parameter lingering: whether to give the other side a moment to read the last words.
  func disconnect(lingering: Bool)
}

/// Hears what happens on a link, one call at a time.
public protocol LinkHandler: AnyObject, Sendable {
  /// A frame came. The handler calls `Link.consume` once a data frame is worked off.
  func link(_ link: Link, received frame: Frame)
  /// The link ended; nothing follows.
  func link(_ link: Link, closed closure: LinkClosure)
}

/// One side of a connection to another node.
///
/// All transports share it: it applies `LinkMachine` to a wire and makes senders wait while the
/// other side's window is full.
public final class Link: Sendable {
  /// Different for each link of a process.
  public let id: UInt64
  /// The other side's address.
  public let remote: String
  public let timing: LinkTiming

  fileprivate struct State {
    var machine: LinkMachine
    var wire: (any Wire)?
    var handler: (any LinkHandler)?
    /// Bytes given to the wire that it has not yet sent.
    var unsent = 0
    /// Why the link ends, from the moment it is decided.
    var closure: LinkClosure?
    var isReported = false
    /// What to say once there is a wire, where the link was closed before.
    var unsaid: Farewell?
  }

  private let state: Monitor<State>
  private static let nextID = Atomic<UInt64>(1)

  public init(remote: String, timing: LinkTiming = LinkTiming()) {
    id = Self.nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    self.remote = remote
    self.timing = timing
    state = Monitor(State(machine: LinkMachine(timing: timing, now: Monotonic.now())))
  }

  // MARK: For the protocol above

  /// Sends a frame, waiting while a data frame finds the other side's window full.
  ///
  /// Control frames never wait, so handlers may send them; data frames are for threads of one's
  /// own.
  /// Throws: `transport.closed` once the link has ended.
  public func send(_ frame: Frame) throws(TransportFault) {
    let isOpen = state.wait { (state: inout State) -> Bool? in
      guard state.closure == nil else { return false }
      guard state.machine.mayTransmit(frame) else { return nil }
      state.transmit(frame)
      return true
    }
    guard isOpen == true else { throw closedFault }
  }

  /// Agrees on limits once the other side is known.
  public func establish(_ limits: LinkLimits) {
    state.update { $0.machine.establish(limits) }
  }

  /// Says that a data frame is worked off, so that the other side may send more.
  public func consume(_ frame: Frame) {
    guard frame.isData else { return }
    state.withLock { state in
      guard state.closure == nil else { return }
      if case .transmit(let credit) = state.machine.consume(byteCount: frame.byteCount) {
        state.transmit(credit)
      }
    }
  }

  /// Ends the link, with last words where there are some; the handler hears of it.
  public func close(_ farewell: Farewell? = nil) {
    state.update { $0.close(.closedHere, farewell) }
  }

  /// Why the link ends or has ended; nil while it is open.
  public var closure: LinkClosure? { state.withLock { $0.closure } }

  private var closedFault: TransportFault {
    let reason = closure.map(\.description) ?? "closed the connection"
    return TransportFault("closed", "\(remote) \(reason)", context: ["address": remote])
  }

  // MARK: For the wire

  /// Connects the link with what carries it and who hears it, before anything can come.
  public func attach(_ wire: any Wire, _ handler: any LinkHandler) {
    state.withLock { state in
      state.wire = wire
      state.handler = handler
      guard state.closure != nil else { return }
      if let unsaid = state.unsaid {
        wire.transmit(Frame(kind: Frame.farewell, payload: unsaid.payload))
      }
      wire.disconnect(lingering: true)
    }
  }

  /// Most payload bytes of a frame, for the decoder.
  public var frameLimit: Int { state.withLock { $0.machine.limits.frame } }

  /// Bytes of some frame came.
  public func heard() { state.withLock { $0.machine.heard(at: Monotonic.now()) } }

  /// A frame came.
  public func receive(_ frame: Frame) {
    let (action, handler) = state.withLock { state -> (LinkMachine.Action, (any LinkHandler)?) in
      guard state.closure == nil else { return (.none, nil) }
      return (state.machine.receive(frame, at: Monotonic.now()), state.handler)
    }
    switch action {
    case .deliver(let frame):
      handler?.link(self, received: frame)
    case .none:
      if frame.kind == Frame.credit { state.update { _ in } }
    case .transmit, .close:
      perform(action)
    }
  }

  /// What came cannot be a frame.
  public func refuse(_ fault: TransportFault) { perform(.close(.violated(fault))) }

  /// Time has passed.
  public func tick() {
    let action = state.withLock { state -> LinkMachine.Action in
      state.closure == nil ? state.machine.tick(at: Monotonic.now()) : .none
    }
    perform(action)
  }

  /// The wire has sent bytes that `transmit` gave it.
  public func sent(byteCount: Int) { state.withLock { $0.unsent -= byteCount } }

  /// The wire has ended, for this reason where nothing else ended it before.
  public func disconnected(_ reason: String? = nil) {
    let (handler, closure) = state.update { state -> ((any LinkHandler)?, LinkClosure) in
      let closure = state.closure ?? .broken(reason)
      state.closure = closure
      defer {
        state.isReported = true
        state.handler = nil
        state.wire = nil
      }
      return (state.isReported ? nil : state.handler, closure)
    }
    handler?.link(self, closed: closure)
  }

  /// Reports a closure at once, without waiting for the wire to wind down.
  private func perform(_ action: LinkMachine.Action) {
    switch action {
    case .none, .deliver: return
    case .transmit(let frame):
      state.withLock { state in
        if state.closure == nil { state.transmit(frame) }
      }
    case .close(let closure):
      let handler = state.update { state -> (any LinkHandler)? in
        guard !state.isReported else { return nil }
        state.close(closure, closure.lastWords)
        defer { state.handler = nil }
        state.isReported = true
        return state.handler
      }
      handler?.link(self, closed: closure)
    }
  }
}

extension LinkClosure {
  /// What the other side is told of a closure that this side has decided.
  fileprivate var lastWords: Farewell? {
    switch self {
    case .violated(let code, let message): Farewell(code, message)
    case .silent: Farewell("transport.silent", "nothing was heard from here: it \(self)")
    case .farewell, .broken, .closedHere: nil
    }
  }
}

extension Link.State {
  fileprivate mutating func transmit(_ frame: Frame) {
    machine.transmitted(frame, at: Monotonic.now())
    unsent += frame.byteCount
    wire?.transmit(frame)
    // Data is bounded by the window; what else piles up is a peer that asks and does not read.
    if unsent > 2 * machine.limits.window + (1 << 20) {
      close(.violated(TransportFault("notReading", "it asks for more than it reads")), nil)
    }
  }

  fileprivate mutating func close(_ closure: LinkClosure, _ farewell: Farewell?) {
    guard self.closure == nil else { return }
    if let farewell {
      wire?.transmit(Frame(kind: Frame.farewell, payload: farewell.payload))
      if wire == nil { unsaid = farewell }
    }
    self.closure = closure
    if case .silent = closure {
      wire?.disconnect(lingering: false)
    } else {
      wire?.disconnect(lingering: true)
    }
  }
}
