/// How often a link says that it is alive, and how long it waits for the other side.
public struct LinkTiming: Sendable, Equatable {
  /// The longest a side stays silent.
  public var heartbeat: Duration
  /// How long nothing may be heard before the other side counts as dead.
  public var deadline: Duration
  /// How long a new link may take to be established.
  public var establishing: Duration
  /// How often `LinkMachine.tick` is called.
  public var tick: Duration

  public init(
    heartbeat: Duration = .milliseconds(500), deadline: Duration = .milliseconds(2500),
    establishing: Duration = .milliseconds(2500), tick: Duration = .milliseconds(100)
  ) {
    self.heartbeat = heartbeat
    self.deadline = deadline
    self.establishing = establishing
    self.tick = tick
  }
}

/// How much a side may send.
public struct LinkLimits: Sendable, Equatable {
  /// Most payload bytes of one frame.
  public var frame: Int
  /// Most bytes of data frames that the receiver has not yet worked off.
  public var window: Int

  /// The window holds two frames: one being worked on, one on its way.
  public init(frame: Int) {
    self.frame = frame
    window = 2 * (frame + FrameHeader.byteCount)
  }

  /// For links whose other side is not known yet.
  public static let strangers = LinkLimits(frame: 64 << 10)
}

/// The rules of one side of a link, without sockets, threads or a clock of its own.
///
/// It keeps the windows of data frames in both directions, says when to send heartbeats, and
/// decides when the other side is dead or has broken the rules.
public struct LinkMachine: Sendable {
  /// What the owner has to do.
  public enum Action: Sendable, Equatable {
    case none
    /// Hand the frame to the protocol above.
    case deliver(Frame)
    case transmit(Frame)
    case close(LinkClosure)
  }

  public let timing: LinkTiming
  public private(set) var limits = LinkLimits.strangers
  /// Whether the protocol above knows whom it speaks with.
  public private(set) var isEstablished = false
  private let openedAt: Duration
  private var lastHeard: Duration
  private var lastSent: Duration
  private var lastTick: Duration
  /// Data bytes sent and not yet worked off by the other side.
  private var outstanding = 0
  /// Data bytes received for which no credit went back.
  private var received = 0
  /// Those of them that are worked off.
  private var consumed = 0
  /// Control frames that may still come, refilled with time.
  private var controlBudget = LinkMachine.controlBurst
  private var budgetAt: Duration

  /// Control frames that may come at once, and a second: a run needs a few dozen in all.
  static let controlBurst = 256.0
  static let controlRate = 64.0

  public init(timing: LinkTiming = LinkTiming(), now: Duration) {
    self.timing = timing
    (openedAt, lastHeard, lastSent, lastTick, budgetAt) = (now, now, now, now, now)
  }

  /// Takes the limits that both sides have agreed on; only then may data frames flow.
  public mutating func establish(_ limits: LinkLimits) {
    self.limits = limits
    isEstablished = true
  }

  /// Notes that bytes came, of whatever frame.
  public mutating func heard(at now: Duration) { lastHeard = now }

  /// Judges a frame that came.
  public mutating func receive(_ frame: Frame, at now: Duration) -> Action {
    lastHeard = now
    guard frame.isData || frame.kind == Frame.credit || takeFromBudget(at: now) else {
      return violation("flood", "too many control messages came")
    }
    switch frame.kind {
    case Frame.heartbeat:
      return frame.payload.isEmpty ? .none : violation("heartbeat", "a heartbeat carries bytes")
    case Frame.credit:
      return receiveCredit(frame.payload)
    case Frame.farewell:
      guard let farewell = Farewell(payload: frame.payload) else {
        return violation("farewell", "a farewell cannot be read")
      }
      return .close(.farewell(farewell))
    case ..<Frame.firstControlKind:
      return violation("unknownKind", "frame kind \(frame.kind) is unknown")
    case ..<Frame.firstDataKind:
      return .deliver(frame)
    default:
      guard isEstablished else {
        return violation("tooEarly", "data came before the handshake was done")
      }
      received += frame.byteCount
      guard received <= limits.window else {
        return violation(
          "window", "\(received) bytes came where at most \(limits.window) may be on their way")
      }
      return .deliver(frame)
    }
  }

  private mutating func takeFromBudget(at now: Duration) -> Bool {
    let refill = (now - budgetAt).inSeconds * Self.controlRate
    controlBudget = min(Self.controlBurst, controlBudget + refill) - 1
    budgetAt = now
    return controlBudget >= 0
  }

  private mutating func receiveCredit(_ payload: [UInt8]) -> Action {
    guard payload.count == 4 else { return violation("credit", "a credit cannot be read") }
    let count = (0..<4).reduce(0) { $0 | Int(payload[$1]) << (8 * $1) }
    guard count <= outstanding else {
      return violation("credit", "credit for \(count) bytes came where \(outstanding) are open")
    }
    outstanding -= count
    return .none
  }

  private func violation(_ code: String, _ message: String) -> Action {
    .close(.violated(TransportFault(code, message)))
  }

  /// Whether a frame may go now; control frames always may.
  public func mayTransmit(_ frame: Frame) -> Bool {
    !frame.isData || (isEstablished && outstanding + frame.byteCount <= limits.window)
  }

  /// Notes that a frame goes.
  ///
  /// Precondition: `mayTransmit`.
  public mutating func transmitted(_ frame: Frame, at now: Duration) {
    lastSent = now
    if frame.isData { outstanding += frame.byteCount }
  }

  /// Notes that a received data frame is worked off; the credit goes back in few frames.
  public mutating func consume(byteCount: Int) -> Action {
    consumed += byteCount
    guard consumed >= limits.window / 4 else { return .none }
    let count = consumed
    received -= count
    consumed = 0
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
    return .transmit(Frame(kind: Frame.credit, payload: bytes))
  }

  /// Looks at the clock.
  public mutating func tick(at now: Duration) -> Action {
    let pause = now - lastTick
    lastTick = now
    // A long pause means that this process itself was stopped: what the other side sent meanwhile
    // still waits to be read.
    if pause > timing.heartbeat * 2 { lastHeard = max(lastHeard, now - timing.deadline / 2) }
    if now - lastHeard >= timing.deadline { return .close(.silent(timing.deadline)) }
    if !isEstablished, now - openedAt >= timing.establishing {
      return violation("handshakeTimeout", "no handshake came in time")
    }
    guard now - lastSent + timing.tick / 2 >= timing.heartbeat else { return .none }
    return .transmit(Frame(kind: Frame.heartbeat))
  }
}
