/// Turns the bytes that a wire receives into calls of its link, and what the link sends into bytes.
struct LinkReader {
  let link: Link
  private var decoder: FrameDecoder
  private var encoder = FrameEncoder()

  init(_ link: Link) {
    self.link = link
    decoder = FrameDecoder(frameLimit: link.frameLimit)
  }

  /// Takes bytes that came; those behind the end of the link are thrown away.
  mutating func read(_ bytes: RawSpan) {
    guard link.closure == nil else { return }
    link.heard()
    var offset = 0
    while offset < bytes.byteCount, link.closure == nil {
      decoder.frameLimit = link.frameLimit
      do throws(TransportFault) {
        guard let frame = try decoder.next(bytes, from: &offset) else { return }
        link.receive(frame)
      } catch {
        return link.refuse(error)
      }
    }
  }

  /// The header that goes before a frame's payload.
  mutating func header(of frame: Frame) -> [UInt8] { encoder.header(of: frame) }
}
