import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

/// Links over TCP: laptops on one network, processes on one machine. With an identity they are
/// encrypted, and both sides know each other before the first frame.
///
/// One thread serves all links of a process.
public final class TCPTransport: Transport {
  public static let name = "tcp"

  private let group: MultiThreadedEventLoopGroup
  private let timing: LinkTiming
  private let identity: TLSIdentity?
  /// Channels that are not yet closed.
  private let open = Monitor(0)

  /// - Parameter identity: nil speaks without encryption, with anybody.
  public init(timing: LinkTiming = LinkTiming(), identity: TLSIdentity? = nil) {
    self.timing = timing
    self.identity = identity
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  }

  /// Whether links are TLS.
  public var isEncrypted: Bool { identity != nil }

  public func listen(
    at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
  ) throws(TransportFault) -> any Listener {
    let (timing, identity, open) = (timing, identity, open)
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 64)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.recvAllocator, value: Self.receiveBuffers)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let link = Link(remote: describe(channel.remoteAddress), timing: timing)
          guard let handler = handler(link) else { throw ChannelError.operationUnsupported }
          // Frames wait behind it until the handshake is done.
          if let identity {
            try channel.pipeline.syncOperations.addHandler(identity.makeServerHandler())
          }
          try attach(link, to: channel, handler, counting: open)
        }
      }
    do {
      let channel = try bootstrap.bind(host: address.host, port: address.port).wait()
      let port = channel.localAddress?.port ?? address.port
      return TCPListener(channel: channel, address: HostPort(host: address.host, port: port))
    } catch {
      throw TransportFault.cannotListen(at: address, reason(of: error))
    }
  }

  public func connect(
    to address: HostPort, timeout: Duration, handler: any LinkHandler
  ) throws(TransportFault) -> Link {
    let (timing, identity, open) = (timing, identity, open)
    // Nothing is read before the link is in place: several attempts may run for one name.
    let bootstrap = ClientBootstrap(group: group)
      .connectTimeout(.nanoseconds(timeout.inNanoseconds))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.recvAllocator, value: Self.receiveBuffers)
      .channelOption(.autoRead, value: false)
    do {
      return try bootstrap.connect(host: address.host, port: address.port)
        .flatMap { channel in
          guard let identity else { return channel.eventLoop.makeSucceededFuture(channel) }
          return shakeHands(as: identity, on: channel, within: timeout)
        }
        .flatMapThrowing { channel in
          let link = Link(remote: "\(address)", timing: timing)
          try attach(link, to: channel, handler, counting: open)
          try channel.syncOptions?.setOption(.autoRead, value: true)
          return link
        }.wait()
    } catch {
      if let fault = TransportFault(tls: error) { throw fault.connecting(to: address) }
      throw TransportFault.cannotConnect(to: address, reason(of: error))
    }
  }

  public func shutdown() {
    // Last words on their way are worth a moment.
    _ = open.wait(until: Monotonic.now() + .milliseconds(500)) { $0 == 0 ? true : nil }
    try? group.syncShutdownGracefully()
  }

  /// Reads follow the size of what comes, within 256 KiB, so that no link keeps the others waiting.
  private static var receiveBuffers: AdaptiveRecvByteBufferAllocator {
    AdaptiveRecvByteBufferAllocator(minimum: 1 << 10, initial: 16 << 10, maximum: 256 << 10)
  }
}

private struct TCPListener: Listener {
  let channel: any Channel
  let address: HostPort

  func close() { try? channel.close().wait() }
}

/// Puts a link on a channel; runs on the channel's loop.
private func attach(
  _ link: Link, to channel: any Channel, _ handler: any LinkHandler, counting open: Monitor<Int>
) throws {
  let channelHandler = LinkChannelHandler(link, channel: channel)
  link.attach(
    TCPWire(handler: NIOLoopBound(channelHandler, eventLoop: channel.eventLoop)), handler)
  open.update { $0 += 1 }
  channel.closeFuture.whenComplete { _ in
    open.update { $0 -= 1 }
    link.disconnected()
  }
  try channel.pipeline.syncOperations.addHandler(channelHandler)
}

/// Does a client's part of a TLS handshake; the channel comes back once it may be used.
private func shakeHands(
  as identity: TLSIdentity, on channel: any Channel, within timeout: Duration
) -> EventLoopFuture<any Channel> {
  let done = channel.eventLoop.makePromise(of: Void.self)
  let limit = channel.eventLoop.scheduleTask(in: .nanoseconds(timeout.inNanoseconds)) {
    done.fail(ChannelError.connectTimeout(.nanoseconds(timeout.inNanoseconds)))
  }
  do {
    // What comes behind the handshake is read only when the link is in place.
    try channel.pipeline.syncOperations.addHandler(HandshakeWatch(done))
    try channel.pipeline.syncOperations.addHandler(
      identity.makeClientHandler(), position: .first)
    try channel.syncOptions?.setOption(.autoRead, value: true)
  } catch {
    done.fail(error)
  }
  done.futureResult.whenComplete { _ in limit.cancel() }
  done.futureResult.whenFailure { _ in channel.close(promise: nil) }
  return done.futureResult.map { channel }
}

/// Waits for the end of a TLS handshake.
private final class HandshakeWatch: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let done: EventLoopPromise<Void>

  init(_ done: EventLoopPromise<Void>) { self.done = done }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .handshakeCompleted? = event as? TLSUserEvent { done.succeed() }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    done.fail(error)
    context.fireErrorCaught(error)
  }

  func channelInactive(context: ChannelHandlerContext) {
    done.fail(ChannelError.eof)
    context.fireChannelInactive()
  }
}

/// The system's reason, without the name of the call that failed.
private func reason(of error: any Error) -> String {
  switch error {
  case let error as IOError:
    return systemMessage(error.errnoCode)
  case let error as NIOConnectionError:
    if let first = error.connectionErrors.first { return reason(of: first.error) }
    return error.dnsAError != nil || error.dnsAAAAError != nil
      ? "the name '\(error.host)' is not known" : "no address of '\(error.host)' answers"
  case ChannelError.connectTimeout:
    return "no answer in time"
  case ChannelError.eof, NIOSSLError.handshakeFailed:
    return "the other side closed the connection"
  case is BoringSSLError:
    return "what came was no longer TLS"
  case is SocketAddressError:
    return "the name is not known"
  default:
    return "\(error)"
  }
}

private func describe(_ address: SocketAddress?) -> String {
  guard let address, let host = address.ipAddress, let port = address.port else {
    return "an unknown address"
  }
  return "\(HostPort(host: host, port: port))"
}

/// Gives frames to the loop of a channel.
private struct TCPWire: Wire {
  let handler: NIOLoopBound<LinkChannelHandler>

  func transmit(_ frame: Frame) {
    handler.eventLoop.execute { handler.value.write(frame) }
  }

  func disconnect(lingering: Bool) {
    handler.eventLoop.execute { handler.value.finish(lingering: lingering) }
  }
}

/// Reads and writes the frames of one channel, and keeps its clock.
private final class LinkChannelHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let link: Link
  private let channel: any Channel
  private var reader: LinkReader
  private var ticks: RepeatedTask?
  private var isFinishing = false

  init(_ link: Link, channel: any Channel) {
    self.link = link
    self.channel = channel
    reader = LinkReader(link)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    let (link, interval) = (link, TimeAmount.nanoseconds(link.timing.tick.inNanoseconds))
    ticks = context.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
      link.tick()
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { ticks?.cancel() }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = Self.unwrapInboundIn(data)
    reader.read(buffer.readableBytesSpan)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let fault = TransportFault(tls: error) {
      link.refuse(fault)
    } else if case NIOSSLError.uncleanShutdown? = error as? NIOSSLError {
      // As where a plain connection ends.
      link.disconnected()
    } else {
      link.disconnected(reason(of: error))
    }
    context.close(promise: nil)
  }

  func write(_ frame: Frame) {
    guard !isFinishing else { return }
    let header = reader.header(of: frame)
    var buffer = channel.allocator.buffer(capacity: frame.byteCount)
    buffer.writeBytes(header)
    buffer.writeBytes(frame.payload)
    let (link, byteCount) = (link, frame.byteCount)
    channel.writeAndFlush(buffer).whenComplete { _ in link.sent(byteCount: byteCount) }
  }

  /// Sends what is on its way, then reads to the end of what the other side sends, for a moment:
  /// closing with unread bytes would destroy the last words on their way.
  func finish(lingering: Bool) {
    guard !isFinishing else { return }
    isFinishing = true
    guard lingering else { return channel.close(promise: nil) }
    let channel = channel
    channel.close(mode: .output).whenFailure { _ in channel.close(promise: nil) }
    channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
  }
}
