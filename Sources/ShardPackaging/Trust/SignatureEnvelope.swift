import StrictJSON
import TensorCore

/// Signatures of a bundle: a DSSE envelope (https://github.com/secure-systems-lab/dsse, v1) whose
/// payload is manifest.json, byte for byte.
///
/// The file is canonical JSON and a line feed, so that each byte of it is fixed by manifest, keys
/// and signatures (docs/format.md §10).
public struct SignatureEnvelope: Sendable, Equatable {
  public struct Signature: Sendable, Equatable {
    /// Which key made it: a hint, which is not signed.
    public let keyID: Digest
    let bytes: [UInt8]
  }

  /// What is signed, so that a signature for anything else is none of a bundle.
  static let payloadType = "application/vnd.shardtool.manifest+json"
  static let signatureByteCount = 64
  public static let maximumSignatureCount = 16
  /// Bytes of the file.
  static let maximumByteCount = (ManifestLimits.manifestByteCount + 2) / 3 * 4 + (64 << 10)

  /// In the order of their keys, one for each.
  public let signatures: [Signature]

  /// What a signature signs: DSSE's pre-authentication encoding.
  static func preAuthentication(of payload: [UInt8]) -> [UInt8] {
    let type = payloadType
    return Array("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ".utf8) + payload
  }

  /// Signs a manifest with a key, and keeps other keys' signatures of the same manifest.
  init(
    signing manifest: [UInt8], with key: SigningKey, beside others: SignatureEnvelope? = nil
  ) throws(PackageFault) {
    let id = key.publicKey.id
    let own = Signature(
      keyID: id, bytes: try key.signature(of: Self.preAuthentication(of: manifest)))
    let kept = others?.signatures.filter { $0.keyID != id } ?? []
    guard kept.count < Self.maximumSignatureCount else {
      throw PackageFault(
        "signatures",
        "the bundle has \(kept.count) signatures, and more than "
          + "\(Self.maximumSignatureCount) are not read; pack it anew and sign that")
    }
    signatures = (kept + [own]).sorted { $0.keyID.hexadecimal < $1.keyID.hexadecimal }
  }

  /// The bytes of signature.json.
  func fileBytes(manifest: [UInt8]) -> [UInt8] {
    let value: JSONValue = [
      "payload": .string(Base64.encode(manifest)),
      "payloadType": .string(Self.payloadType),
      "signatures": .array(
        signatures.map {
          ["keyid": .string($0.keyID.description), "sig": .string(Base64.encode($0.bytes))]
        }),
    ]
    return Array((value.serialized(.canonical) + "\n").utf8)
  }

  /// Reads signature.json beside a manifest, proves its form and that its payload is that
  /// manifest. Whether signatures are right is not looked at.
  ///
  /// - Parameters:
  ///   - manifest: the bytes of manifest.json.
  ///   - path: of signature.json, for faults.
  public init(file bytes: [UInt8], manifest: [UInt8], path: String) throws(PackageFault) {
    func fault(_ reason: String, _ problem: String) -> PackageFault {
      PackageFault(
        reason, "\(path) \(problem); copy the bundle again or have it signed anew",
        context: ["file": path])
    }
    guard bytes.count <= Self.maximumByteCount else {
      throw fault("badEnvelope", "has \(bytes.count) bytes, more than a signature may have")
    }
    var parsing = JSONParsing()
    parsing.maximumDepth = 8
    let value: JSONValue
    do { value = try parsing.parse(bytes) } catch {
      throw fault("badEnvelope", "is damaged: \(error.message) at byte \(error.offset)")
    }
    guard let envelope = value.object, envelope.count == 3,
      let payload = envelope["payload"]?.string, let list = envelope["signatures"]?.array,
      let type = envelope["payloadType"]?.string
    else {
      throw fault(
        "badEnvelope", "does not have the members payload, payloadType and signatures alone")
    }
    guard type == Self.payloadType else {
      throw fault(
        "payloadType",
        "signs \(Excerpt.quoted(type)) instead of \"\(Self.payloadType)\", a bundle's manifest")
    }
    guard payload == Base64.encode(manifest) else {
      throw fault(
        "otherManifest", "signs another \(BundleFiles.manifest) than the one beside it")
    }
    guard (1...Self.maximumSignatureCount).contains(list.count) else {
      throw fault(
        "badEnvelope",
        "holds \(list.count) signatures instead of 1 to \(Self.maximumSignatureCount)")
    }
    var signatures: [Signature] = []
    for (index, entry) in list.enumerated() {
      guard let object = entry.object, object.count == 2,
        let id = object["keyid"]?.string.flatMap({ Digest($0) }),
        let bytes = object["sig"]?.string.flatMap({ Base64.decode($0) }),
        bytes.count == Self.signatureByteCount
      else { throw fault("badEnvelope", "has no sound signature as number \(index + 1)") }
      signatures.append(Signature(keyID: id, bytes: bytes))
    }
    for (one, next) in zip(signatures, signatures.dropFirst()) {
      guard one.keyID.hexadecimal < next.keyID.hexadecimal else {
        throw fault("badEnvelope", "has a key's signature twice or out of order")
      }
    }
    self.signatures = signatures
    guard fileBytes(manifest: manifest) == bytes else {
      throw fault("badEnvelope", "is not canonical JSON")
    }
  }

  /// The signatures in a bundle or node directory; nil where there are none.
  ///
  /// - Parameter manifest: the bytes of manifest.json.
  public static func read(
    in directory: String, manifest: [UInt8]
  ) throws -> SignatureEnvelope? {
    let path = "\(directory)/\(BundleFiles.signature)"
    guard Directory.isFile(path) else { return nil }
    let bytes = try InputFile.contents(of: path, limit: maximumByteCount)
    return try SignatureEnvelope(file: bytes, manifest: manifest, path: path)
  }
}
