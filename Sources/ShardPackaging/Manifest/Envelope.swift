import StrictJSON
import TensorCore

/// A canonical JSON object behind its own digest: the form of manifest.json and node.json.
///
/// `{"digest":"sha256:…","NAME":{…}}` and a line feed, where the digest is that of the inner
/// object's bytes. Each byte of the file is thus fixed by the content.
struct Envelope {
  let digest: Digest
  let content: JSONObject

  private static let start = #"{"digest":""#

  /// The bytes of the file.
  static func seal(_ content: JSONValue, name: String) -> [UInt8] {
    let inner = content.serialized(.canonical)
    let digest = Digest(of: Array(inner.utf8))
    return Array("\(start)\(digest)\",\"\(name)\":\(inner)}\n".utf8)
  }

  /// Checks the digest, then parses, then checks that the text is the canonical one.
  static func open(_ bytes: [UInt8], name: String, path: String) throws(PackageFault) -> Envelope {
    let head = Array(start.utf8)
    let middle = Array("\",\"\(name)\":".utf8)
    let tail = Array("}\n".utf8)
    let digestEnd = head.count + 71
    let innerStart = digestEnd + middle.count
    let innerEnd = bytes.count - tail.count
    guard innerEnd > innerStart, bytes.starts(with: head),
      bytes[digestEnd..<innerStart].elementsEqual(middle),
      bytes[innerEnd...].elementsEqual(tail),
      let digest = Digest(String(decoding: bytes[head.count..<digestEnd], as: UTF8.self))
    else {
      throw PackageFault(
        "notAManifest",
        "\(path) does not have the form of a bundle's \(name) file; copy the bundle again or "
          + "pack it anew",
        context: ["file": path])
    }
    let inner = Array(bytes[innerStart..<innerEnd])
    let found = Digest(of: inner)
    guard found == digest else {
      throw PackageFault(
        "digestMismatch",
        "\(path) is damaged: its content has the digest \(found) instead of \(digest); copy the "
          + "bundle again",
        context: ["file": path])
    }
    var parsing = JSONParsing()
    parsing.maximumDepth = 16
    let value: JSONValue
    do { value = try parsing.parse(inner) } catch {
      throw PackageFault(
        "notJSON", "\(path): \(error.message) at byte \(innerStart + error.offset)",
        context: ["file": path, "offset": String(innerStart + error.offset)])
    }
    guard let content = value.object else {
      throw PackageFault(
        "notAManifest", "\(path) holds \(value.kindName) instead of an object",
        context: ["file": path])
    }
    guard value.serialized(.canonical).utf8.elementsEqual(inner) else {
      throw PackageFault(
        "notCanonical", "\(path) is not canonical JSON; pack the bundle anew",
        context: ["file": path])
    }
    return Envelope(digest: digest, content: content)
  }
}
