import StrictJSON

/// Spaces written as a visible mark, as SentencePiece does.
struct MetaspaceScheme: Sendable {
  enum Prepending: String, Sendable { case first, never, always }

  let mark: UInt32
  let markBytes: [UInt8]
  let prepending: Prepending
  let splits: Bool

  init(_ reader: ComponentReader) throws(TokenizationFault) {
    mark = try reader.scalar("replacement")
    var bytes: [UInt8] = []
    UTF8Text.append(mark, to: &bytes)
    markBytes = bytes
    var prepending = Prepending.always
    if reader.object["prepend_scheme"] != nil {
      let name = try reader.string("prepend_scheme")
      guard let scheme = Prepending(rawValue: name) else {
        throw reader.fault(
          "has the prepend_scheme \(Excerpt.quoted(name)), first, never or always is expected")
      }
      prepending = scheme
    }
    if try !reader.bool("add_prefix_space", default: true) {
      guard prepending == .never || reader.object["prepend_scheme"] == nil else {
        throw reader.fault("has add_prefix_space false and a prepend_scheme other than never")
      }
      prepending = .never
    }
    self.prepending = prepending
    splits = try reader.bool("split", default: true)
  }

  func apply(_ pieces: inout Pieces) {
    let beginsInput = pieces.count > 0 && pieces.beginsInput(0)
    pieces.rewrite { index, text, result in
      let begins = text.starts(with: markBytes) || text.first == UInt8(ascii: " ")
      switch prepending {
      case .always where !begins: result.append(contentsOf: markBytes)
      case .first where !begins && index == 0 && beginsInput: result.append(contentsOf: markBytes)
      default: break
      }
      for byte in text {
        if byte == UInt8(ascii: " ") {
          result.append(contentsOf: markBytes)
        } else {
          result.append(byte)
        }
      }
    }
    guard splits else { return }
    pieces.cut { text, start, end, list in
      var begin = start
      var offset = start
      while offset < end {
        let (scalar, length) = UTF8Text.scalar(text, offset)
        if scalar == mark {
          list.append(begin, offset)
          begin = offset
        }
        offset += length
      }
      list.append(begin, end)
    }
  }
}
