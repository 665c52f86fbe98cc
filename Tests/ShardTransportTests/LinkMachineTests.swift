import ShardTransport
import TensorCore
import Testing

/// The rules of a link by an imagined clock, without sockets.
@Suite struct LinkMachineTests {
  private let limits = LinkLimits(frame: 1000)

  private let timing = LinkTiming(tick: .milliseconds(250))

  private func established(at now: Duration = .zero) -> LinkMachine {
    var machine = LinkMachine(timing: timing, now: now)
    machine.establish(limits)
    return machine
  }

  private func code(_ action: LinkMachine.Action) -> String? {
    guard case .close(.violated(let code, _)) = action else { return nil }
    return code
  }

  @Test func heartbeatsFillSilence() {
    var machine = established()
    var beats: [Int] = []
    for tick in 1...12 {
      let now = Duration.milliseconds(250 * tick)
      machine.heard(at: now)
      if case .transmit(let frame) = machine.tick(at: now) {
        #expect(frame == Frame(kind: 0))
        machine.transmitted(frame, at: now)
        beats.append(tick)
      }
    }
    #expect(beats == [2, 4, 6, 8, 10, 12])
  }

  @Test func silenceEndsTheLink() {
    var machine = established()
    for tick in 1...9 {
      if case .close = machine.tick(at: .milliseconds(250 * tick)) { Issue.record("tick \(tick)") }
    }
    #expect(machine.tick(at: .milliseconds(2500)) == .close(.silent(.milliseconds(2500))))
  }

  @Test func ownPauseIsNotTheOthersSilence() {
    var machine = established()
    _ = machine.tick(at: .milliseconds(250))
    // This process was stopped for a minute; the other side gets half a deadline to be read.
    if case .close = machine.tick(at: .seconds(60)) { Issue.record("closed at once") }
    for tick in 1...4 {
      if case .close = machine.tick(at: .seconds(60) + .milliseconds(250 * tick)) {
        Issue.record("closed too early")
      }
    }
    #expect(
      machine.tick(at: .seconds(60) + .milliseconds(1250)) == .close(.silent(.milliseconds(2500))))
  }

  @Test func handshakeHasATimeLimit() {
    var machine = LinkMachine(timing: timing, now: .zero)
    for tick in 1...9 {
      machine.heard(at: .milliseconds(250 * tick))
      #expect(code(machine.tick(at: .milliseconds(250 * tick))) == nil)
    }
    machine.heard(at: .milliseconds(2500))
    #expect(code(machine.tick(at: .milliseconds(2500))) == "transport.handshakeTimeout")
  }

  @Test func windowsOnBothSidesAgree() {
    var sender = established()
    var receiver = established()
    let frame = Frame(kind: 64, payload: [UInt8](repeating: 0, count: 600))
    var onTheirWay: [Frame] = []
    var sent = 0
    var delivered = 0
    // Worked off one by one, a hundred frames never break the window, nor starve.
    for _ in 0..<100 {
      while sender.mayTransmit(frame) {
        sender.transmitted(frame, at: .zero)
        onTheirWay.append(frame)
        sent += 1
        #expect(receiver.receive(frame, at: .zero) == .deliver(frame))
      }
      #expect(!onTheirWay.isEmpty)
      delivered += 1
      if case .transmit(let credit) = receiver.consume(
        byteCount: onTheirWay.removeFirst().byteCount)
      {
        #expect(sender.receive(credit, at: .zero) == .none)
      }
    }
    #expect(sent >= 100)
    #expect(delivered == 100)
  }

  @Test func violationsAreNamed() {
    let big = Frame(kind: 64, payload: [UInt8](repeating: 0, count: 1000))
    var machine = established()
    #expect(machine.receive(big, at: .zero) == .deliver(big))
    #expect(machine.receive(big, at: .zero) == .deliver(big))
    #expect(code(machine.receive(Frame(kind: 64), at: .zero)) == "transport.window")
    machine = LinkMachine(now: .zero)
    #expect(code(machine.receive(Frame(kind: 64), at: .zero)) == "transport.tooEarly")
    #expect(code(machine.receive(Frame(kind: 3), at: .zero)) == "transport.unknownKind")
    #expect(code(machine.receive(Frame(kind: 0, payload: [1]), at: .zero)) == "transport.heartbeat")
    #expect(code(machine.receive(Frame(kind: 1), at: .zero)) == "transport.credit")
    let credit = Frame(kind: 1, payload: [1, 0, 0, 0])
    #expect(code(machine.receive(credit, at: .zero)) == "transport.credit")
    #expect(code(machine.receive(Frame(kind: 2), at: .zero)) == "transport.farewell")
    let control = Frame(kind: 16, payload: [1])
    #expect(machine.receive(control, at: .zero) == .deliver(control))
  }

  @Test func floodsOfControlFramesAreCut() {
    var machine = established()
    let frame = Frame(kind: 16, payload: [1])
    for _ in 0..<256 { #expect(machine.receive(frame, at: .seconds(1)) == .deliver(frame)) }
    #expect(code(machine.receive(frame, at: .seconds(1))) == "transport.flood")
    // Two a second, for an hour, is a heartbeat.
    machine = established()
    for second in 0..<3600 {
      for half in [0, 500] {
        let now = Duration.seconds(second) + .milliseconds(half)
        #expect(machine.receive(Frame(kind: 0), at: now) == .none)
      }
    }
  }

  @Test func farewellOfAStrangerIsCleaned() {
    var machine = LinkMachine(now: .zero)
    let text = #"{"code":"x","message":"a\u001b[31mb\n","exit":999,"context":{"node":"n\u0007"}}"#
    let action = machine.receive(Frame(kind: 2, payload: Array(text.utf8)), at: .zero)
    #expect(
      action == .close(.farewell(Farewell("x", "a[31mb", context: ["node": "n"]))))
  }
}
