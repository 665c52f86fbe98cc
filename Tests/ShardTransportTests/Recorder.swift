import ShardTransport
import TensorCore

/// Remembers what a link hears.
final class Recorder: LinkHandler {
  private struct State {
    var link: Link?
    var frames: [Frame] = []
    var consumed = 0
    var closure: LinkClosure?
    var consumesAtOnce = false
  }

  private let state = Monitor(State())

  var link: Link? {
    get { state.withLock { $0.link } }
    set { state.update { $0.link = newValue } }
  }

  var consumesAtOnce: Bool {
    get { state.withLock { $0.consumesAtOnce } }
    set { state.update { $0.consumesAtOnce = newValue } }
  }

  func link(_ link: Link, received frame: Frame) {
    let consumes = state.update { state in
      state.frames.append(frame)
      if state.consumesAtOnce { state.consumed = state.frames.count }
      return state.consumesAtOnce
    }
    if consumes { link.consume(frame) }
  }

  func link(_ link: Link, closed closure: LinkClosure) {
    state.update { $0.closure = closure }
  }

  var frameCount: Int { state.withLock { $0.frames.count } }

  /// Works off all frames so far, and where it is wanted all that will come.
  func consume(fromNowOn: Bool = false) {
    let (link, frames) = state.withLock { state in
      defer {
        state.consumed = state.frames.count
        if fromNowOn { state.consumesAtOnce = true }
      }
      return (state.link, state.frames[state.consumed...])
    }
    for frame in frames { link?.consume(frame) }
  }

  /// Waits for a number of frames.
  func frames(_ count: Int, within time: Duration = .seconds(10)) -> [Frame] {
    let frames = state.wait(until: Monotonic.now() + time) {
      $0.frames.count >= count ? $0.frames : nil
    }
    return frames ?? state.withLock { $0.frames }
  }

  /// Waits for the frame of a number, counted from 1, without copying any.
  func waitForFrame(number: Int) -> Bool {
    state.wait(until: Monotonic.now() + .seconds(10)) { $0.frames.count >= number ? true : nil }
      ?? false
  }

  /// Waits for the end.
  func closure(within time: Duration = .seconds(10)) -> LinkClosure? {
    state.wait(until: Monotonic.now() + time) { $0.closure }
  }
}

/// Both sides of one link.
final class LinkPair: Sendable {
  let near = Recorder()
  let far = Recorder()
  private let transport: any Transport
  private let listener: any Listener

  init(_ transport: any Transport) throws {
    self.transport = transport
    let far = far
    listener = try transport.listen(at: HostPort("127.0.0.1:0")) { link in
      far.link = link
      return far
    }
    near.link = try transport.connect(
      to: listener.address, timeout: .seconds(2), handler: near)
    while far.link == nil {}
  }

  func establish(_ limits: LinkLimits) {
    near.link?.establish(limits)
    far.link?.establish(limits)
  }

  func shutdown() {
    near.link?.close()
    listener.close()
    transport.shutdown()
  }
}
