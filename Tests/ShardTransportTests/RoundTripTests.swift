import ShardTransport
import TensorCore
import Testing

/// Sends back what comes; works off data frames at once.
private final class Echo: LinkHandler {
  func link(_ link: Link, received frame: Frame) {
    link.consume(frame)
    try? link.send(frame)
  }

  func link(_ link: Link, closed closure: LinkClosure) {}
}

@Suite struct RoundTripTests {
  /// The time of one hop and back, beside what it carries; printed, not judged: machines differ.
  @Test(arguments: [8 << 10, 4 << 20], [false, true])
  func loopbackRoundTrip(size: Int, isEncrypted: Bool) throws {
    let identity = isEncrypted ? TestIdentity.first : nil
    let transport = TCPTransport(identity: identity)
    defer { transport.shutdown() }
    let accepted = Recorder()
    let listener = try transport.listen(at: HostPort("127.0.0.1:0")) { link in
      link.establish(LinkLimits(frame: 8 << 20))
      accepted.link = link
      return Echo()
    }
    defer { listener.close() }
    let near = Recorder()
    near.consumesAtOnce = true
    let client = TCPTransport(identity: identity)
    defer { client.shutdown() }
    let link = try client.connect(to: listener.address, timeout: .seconds(1), handler: near)
    link.establish(LinkLimits(frame: 8 << 20))
    let frame = Frame(kind: 64, payload: [UInt8](repeating: 5, count: size))
    var times: [Duration] = []
    let repetitions = size > 1 << 20 ? 20 : 1000
    for count in 1...repetitions {
      let start = Monotonic.now()
      try link.send(frame)
      #expect(near.waitForFrame(number: count))
      times.append(Monotonic.now() - start)
    }
    times.sort()
    let micro = times.map { Quantity.fixed($0.inSeconds * 1e6, digits: 1) }
    let kind = isEncrypted ? "TLS" : "TCP"
    print(
      "round trip of \(Quantity.describe(bytes: size)) over \(kind) on this machine: median "
        + "\(micro[repetitions / 2]) µs, best \(micro[0]) µs, p90 \(micro[repetitions * 9 / 10]) µs"
    )
    link.close()
  }
}
