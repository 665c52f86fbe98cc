import TensorCore

/// What the machines of one cluster know each other by: a key that each of them holds, in a file
/// of its own kind (docs/trust.md).
///
/// The file is PEM: the private key (Ed25519, PKCS #8) and the certificate that follows from it,
/// so that other TLS programs can use it too. Equal keys give equal bytes.
public struct ClusterIdentity: Sendable {
  /// SHA-256 of the public key, by which people compare identities.
  public let id: Digest
  /// DER of the private key.
  public let privateKey: [UInt8]
  /// DER of the certificate that both sides of a link show.
  public let certificate: [UInt8]

  /// The identity of a key.
  init(_ key: SigningKey) throws(PackageFault) {
    id = key.publicKey.id
    privateKey = KeyFile.Kind.privateKey.prefix + key.seed
    certificate = try ClusterCertificate.encoded(key)
  }

  /// Makes an identity and writes it to a new file that only its owner can read.
  ///
  /// Throws: `PackageFault` where the file is there already, for nothing is ever replaced;
  /// `FileFault` where it cannot be written.
  public static func create(at path: String) throws -> ClusterIdentity {
    guard !KeyPair.isTaken(path) else { throw KeyPair.taken(path) }
    let identity = try ClusterIdentity(SigningKey.generate())
    try KeyPair.create(identity.fileText, at: path, mode: 0o600)
    try Directory.synchronize(Directory.parent(of: path))
    return identity
  }

  /// Reads an identity.
  ///
  /// Throws: `FileFault` where the file cannot be read; `PackageFault` with the status "not
  /// trusted" where others can read it too, or where it holds anything else.
  public init(path: String) throws {
    func fault(_ problem: String) -> PackageFault {
      PackageFault(
        "badIdentity", "\(path) \(problem)", exitStatus: .notTrusted, context: ["file": path])
    }
    guard let lines = try KeyFile.lines(of: path), lines.count >= 6 else {
      throw fault("is no cluster identity; make one with shardtool keygen --cluster")
    }
    guard !KeyPair.isOpenToOthers(path) else {
      throw fault(
        "can be read by other users of this machine, so that it proves nothing; chmod 600 it if "
          + "it was private until now, else make a new one with shardtool keygen --cluster")
    }
    guard let key = Self.block("PRIVATE KEY", lines[...]),
      let certificate = Self.block("CERTIFICATE", lines[(key.lines)...]),
      key.lines + certificate.lines == lines.count
    else {
      throw fault(
        "is no cluster identity: a private key and its certificate are expected; make one with "
          + "shardtool keygen --cluster")
    }
    let prefix = KeyFile.Kind.privateKey.prefix
    guard key.der.count == prefix.count + KeyFile.keyByteCount, key.der.starts(with: prefix) else {
      throw fault("holds no Ed25519 key; make an identity with shardtool keygen --cluster")
    }
    let identity = try ClusterIdentity(SigningKey(seed: Array(key.der.dropFirst(prefix.count))))
    guard identity.certificate == certificate.der else {
      throw fault("is damaged: its certificate is not the one of its key; copy the file again")
    }
    self = identity
  }

  /// Where an identity is looked for that nobody names: `shardtool/cluster.pem` of the user's
  /// configuration; nil where the user has no home.
  public static func usualPath(
    environment: (String) -> String? = TrustRequirement.variable
  ) -> String? {
    TrustRequirement.place("XDG_CONFIG_HOME", ".config", "cluster.pem", environment)
  }

  // MARK: The file

  /// The PEM file.
  var fileText: String {
    Self.text("PRIVATE KEY", privateKey) + Self.text("CERTIFICATE", certificate)
  }

  private static func text(_ label: String, _ der: [UInt8]) -> String {
    var rest = Base64.encode(der)[...]
    var lines = ""
    while !rest.isEmpty {
      lines += rest.prefix(64) + "\n"
      rest = rest.dropFirst(64)
    }
    return "-----BEGIN \(label)-----\n\(lines)-----END \(label)-----\n"
  }

  /// The block at the beginning of some lines, and how many of them it takes.
  private static func block(
    _ label: String, _ lines: ArraySlice<String>
  ) -> (der: [UInt8], lines: Int)? {
    guard lines.first == "-----BEGIN \(label)-----",
      let end = lines.firstIndex(of: "-----END \(label)-----"),
      let der = Base64.decode(lines[(lines.startIndex + 1)..<end].joined())
    else { return nil }
    return (der, end + 1 - lines.startIndex)
  }
}

/// A certificate (X.509, RFC 5280 and 8410) that says nothing but a key, signed by this key; with
/// no date that ever comes. Who compares it does so byte by byte.
enum ClusterCertificate {
  static let name = "shard cluster"

  static func encoded(_ key: SigningKey) throws(PackageFault) -> [UInt8] {
    let commonName = sequence([6, 3, 0x55, 4, 3] + element(0x0C, Array(name.utf8)))
    let names = sequence(element(0x31, commonName))
    let validity = sequence(
      element(0x17, Array("000101000000Z".utf8)) + element(0x18, Array("99991231235959Z".utf8)))
    let version: [UInt8] = [0xA0, 3, 2, 1, 2]
    let serialNumber: [UInt8] = [2, 1, 1]
    let body = sequence(
      version + serialNumber + algorithm + names + validity + names
        + KeyFile.Kind.publicKey.prefix + key.publicKey.bytes)
    let signature = try key.signature(of: body)
    return sequence(body + algorithm + element(3, [0] + signature))
  }

  /// Ed25519.
  private static let algorithm: [UInt8] = [0x30, 5, 6, 3, 0x2B, 0x65, 0x70]

  private static func sequence(_ content: [UInt8]) -> [UInt8] { element(0x30, content) }

  private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let count = content.count
    precondition(count < 1 << 16, "an element of \(count) bytes")
    let length: [UInt8] =
      switch count {
      case ..<128: [UInt8(count)]
      case ..<256: [0x81, UInt8(count)]
      default: [0x82, UInt8(count >> 8), UInt8(count & 255)]
      }
    return [tag] + length + content
  }
}
