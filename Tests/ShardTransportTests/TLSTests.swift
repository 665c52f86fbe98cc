import ShardTransport
import TensorCore
import TestSupport
import Testing

/// Who is let in, and what those hear who are not.
@Suite struct TLSTests {
  @Test func identitiesCanBeUsed() {
    #expect(TestIdentity.first != nil && TestIdentity.second != nil)
    #expect(throws: TransportFault.self) { try TLSIdentity(certificate: [1], privateKey: [2]) }
  }

  /// A listener, and what it hears of the one link that a test makes.
  private struct Far {
    let transport: TCPTransport
    let listener: any Listener
    let recorder = Recorder()

    init(_ identity: TLSIdentity?, timing: LinkTiming = LinkTiming()) throws {
      transport = TCPTransport(timing: timing, identity: identity)
      listener = try transport.listen(at: HostPort("127.0.0.1:0")) { [recorder] link in
        recorder.link = link
        return recorder
      }
    }

    func shutdown() {
      listener.close()
      transport.shutdown()
    }
  }

  private func connect(_ identity: TLSIdentity?, to far: Far) -> Result<Recorder, TransportFault> {
    let transport = TCPTransport(identity: identity)
    defer { transport.shutdown() }
    let near = Recorder()
    do throws(TransportFault) {
      let link = try transport.connect(
        to: far.listener.address, timeout: .seconds(2), handler: near)
      near.link = link
      try? link.send(Frame(kind: 16, payload: Array("the model's name".utf8)))
      _ = near.closure()
      return .success(near)
    } catch {
      return .failure(error)
    }
  }

  private func expectIdentityFault(_ closure: LinkClosure?, _ words: String) {
    guard case .violated("transport.identity", let message)? = closure else {
      Issue.record("\(String(describing: closure))")
      return
    }
    #expect(message.contains(words), "\(message)")
    #expect(closure?.isDistrust == true)
  }

  @Test func anotherIdentityIsTurnedAwayOnBothSides() throws {
    let far = try Far(TestIdentity.first)
    defer { far.shutdown() }
    guard case .failure(let fault) = connect(TestIdentity.second, to: far) else {
      Issue.record("connected")
      return
    }
    #expect(fault.code == "transport.identity" && fault.exitStatus == .notTrusted)
    #expect(fault.message.contains("another cluster identity"))
    #expect(fault.message.contains("\(far.listener.address)"))
    expectIdentityFault(far.recorder.closure(), "refuses this cluster identity")
    #expect(far.recorder.frameCount == 0)
  }

  @Test func plainPeerHearsThatTheOtherSpeaksTLS() throws {
    let far = try Far(TestIdentity.first)
    defer { far.shutdown() }
    let near = try connect(nil, to: far).get()
    guard case .violated("transport.encryption", let message)? = near.closure() else {
      Issue.record("\(String(describing: near.closure()))")
      return
    }
    #expect(message.contains("speaks TLS and this one does not"))
    #expect(near.frameCount == 0 && far.recorder.frameCount == 0)
    guard case .violated("transport.encryption", _)? = far.recorder.closure() else {
      Issue.record("\(String(describing: far.recorder.closure()))")
      return
    }
  }

  @Test func tlsPeerHearsThatTheOtherIsPlain() throws {
    let far = try Far(nil)
    defer { far.shutdown() }
    guard case .failure(let fault) = connect(TestIdentity.first, to: far) else {
      Issue.record("connected")
      return
    }
    #expect(fault.code == "transport.encryption" && fault.exitStatus == .notTrusted)
    #expect(fault.message.contains("does not speak TLS"))
    guard case .violated("transport.encryption", let message)? = far.recorder.closure() else {
      Issue.record("\(String(describing: far.recorder.closure()))")
      return
    }
    #expect(message.contains("speaks TLS"))
    #expect(far.recorder.frameCount == 0)
  }

  /// Who connects and says nothing holds a place for as long as a handshake may take, no longer.
  @Test func silentPeersAreClosed() throws {
    let timing = LinkTiming(
      heartbeat: .milliseconds(40), deadline: .seconds(2), establishing: .milliseconds(300),
      tick: .milliseconds(20))
    let far = try Far(TestIdentity.first, timing: timing)
    defer { far.shutdown() }
    // A plain listener takes the connection and never answers.
    let silent = TCPTransport()
    defer { silent.shutdown() }
    let near = Recorder()
    let link = try silent.connect(to: far.listener.address, timeout: .seconds(2), handler: near)
    #expect(near.closure(within: .seconds(3)) != nil)
    #expect(far.recorder.closure(within: .seconds(3)) != nil)
    _ = link
  }

  /// A listener that never does its part of the handshake is given up after the time.
  @Test func aHandshakeHasATimeLimit() throws {
    let deaf = DeafListener()
    let port = try #require(deaf.port)
    let transport = TCPTransport(identity: TestIdentity.first)
    defer { transport.shutdown() }
    let start = Monotonic.now()
    let fault = #expect(throws: TransportFault.self) {
      try transport.connect(
        to: HostPort(host: "127.0.0.1", port: port), timeout: .milliseconds(400),
        handler: Recorder())
    }
    #expect(fault?.message.contains("no answer in time") == true)
    #expect(Monotonic.now() - start < .seconds(2))
  }

  @Test func loopbackAddresses() {
    for host in ["localhost", "127.0.0.1", "127.3.2.1", "::1"] {
      #expect(HostPort(host: host, port: 1).isLoopback, "\(host)")
    }
    for host in ["0.0.0.0", "::", "192.168.0.1", "laptop", "127.0.0.1.example.org", "127.1", ""] {
      #expect(!HostPort(host: host, port: 1).isLoopback, "\(host)")
    }
  }
}
