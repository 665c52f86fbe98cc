import TensorCore

/// The one kind of PEM file (RFC 7468) that holds a key here: an Ed25519 key in the form that
/// RFC 8410 gives it, as `openssl` writes it too.
enum KeyFile {
  enum Kind {
    case privateKey
    case publicKey

    var label: String { self == .privateKey ? "PRIVATE KEY" : "PUBLIC KEY" }
    /// The DER before the 32 bytes of the key: PKCS #8 and SubjectPublicKeyInfo.
    var prefix: [UInt8] {
      switch self {
      case .privateKey:
        [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20]
      case .publicKey: [0x30, 0x2A, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 3, 0x21, 0]
      }
    }
  }

  static let keyByteCount = 32
  private static let limit = 16 << 10

  static func text(_ kind: Kind, _ key: [UInt8]) -> String {
    "-----BEGIN \(kind.label)-----\n\(Base64.encode(kind.prefix + key))\n"
      + "-----END \(kind.label)-----\n"
  }

  /// The lines of a file that say something; nil where it is too long for keys.
  static func lines(of path: String) throws(FileFault) -> [String]? {
    let file = try InputFile(path: path)
    guard file.byteCount <= limit else { return nil }
    let text = String(decoding: try file.bytes(at: 0, count: file.byteCount), as: UTF8.self)
    return text.split(whereSeparator: \.isNewline).map { line in
      String(line.drop { $0 == " " || $0 == "\t" })
    }.filter { !$0.isEmpty }
  }

  /// The 32 bytes of the key.
  ///
  /// Throws: `FileFault` where the file cannot be read, `PackageFault` where it holds no such key.
  static func read(
    _ kind: Kind, from path: String, exitStatus: ExitStatus
  ) throws -> [UInt8] {
    func fault(_ problem: String) -> PackageFault {
      PackageFault(
        "badKey", "\(path) \(problem)", exitStatus: exitStatus, context: ["file": path])
    }
    let wanted = kind == .privateKey ? "a private key" : "a public key"
    guard let lines = try lines(of: path) else {
      throw fault("is too long for a key; give \(wanted) that shardtool keygen has written")
    }
    guard let first = lines.first, let last = lines.last, lines.count >= 3,
      first.hasPrefix("-----BEGIN ")
    else { throw fault("is no key; give \(wanted) that shardtool keygen has written") }
    guard first == "-----BEGIN \(kind.label)-----", last == "-----END \(kind.label)-----" else {
      switch (kind, first) {
      case (.publicKey, "-----BEGIN PRIVATE KEY-----"):
        throw fault("is a private key, which signs and stays secret; give the public one to trust")
      case (.privateKey, "-----BEGIN PUBLIC KEY-----"):
        throw fault("is a public key, which checks signatures; give the private one to sign")
      case (.privateKey, "-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        throw fault("is encrypted with a password; give a key without one, readable to you alone")
      default:
        throw fault("is not \(wanted) alone; give one that shardtool keygen has written")
      }
    }
    guard let der = Base64.decode(lines.dropFirst().dropLast().joined()) else {
      throw fault("is damaged: its text is not Base64; copy the key again")
    }
    guard der.count == kind.prefix.count + keyByteCount, der.starts(with: kind.prefix) else {
      throw fault("is no Ed25519 key; give \(wanted) that shardtool keygen has written")
    }
    return Array(der.suffix(keyByteCount))
  }
}
