import COpenSSL
import TensorCore

/// A key that somebody is trusted by: 32 bytes of Ed25519.
public struct PublicKey: Sendable, Hashable {
  let bytes: [UInt8]
  /// SHA-256 of the key's SubjectPublicKeyInfo, by which signatures name it.
  public let id: Digest

  init(bytes: [UInt8]) {
    precondition(bytes.count == KeyFile.keyByteCount, "a key of \(bytes.count) bytes")
    self.bytes = bytes
    id = Digest(of: KeyFile.Kind.publicKey.prefix + bytes)
  }

  /// Reads a PEM file.
  ///
  /// Throws: `PackageFault` with the status "not trusted" where the file holds anything else.
  public init(path: String) throws {
    self.init(bytes: try KeyFile.read(.publicKey, from: path, exitStatus: .notTrusted))
  }

  /// The PEM file.
  public var fileText: String { KeyFile.text(.publicKey, bytes) }

  /// Whether the private half of this key has signed the message.
  public func isSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    guard
      let key = unsafe EVP_PKEY_new_raw_public_key(NID_ED25519, nil, bytes, bytes.count)
    else { return false }
    defer { unsafe EVP_PKEY_free(key) }
    guard let context = unsafe EVP_MD_CTX_new() else { return false }
    defer { unsafe EVP_MD_CTX_free(context) }
    guard unsafe EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1 else { return false }
    let result = unsafe EVP_DigestVerify(
      context, signature, signature.count, message, message.count)
    ERR_clear_error()
    return result == 1
  }
}

/// A key that signs.
public struct SigningKey: Sendable {
  let seed: [UInt8]
  public let publicKey: PublicKey

  /// Throws: `PackageFault` where this OpenSSL cannot use the key.
  init(seed: [UInt8]) throws(PackageFault) {
    self.seed = seed
    var bytes = [UInt8](repeating: 0, count: KeyFile.keyByteCount)
    var count = bytes.count
    guard let key = unsafe EVP_PKEY_new_raw_private_key(NID_ED25519, nil, seed, seed.count) else {
      throw Self.failure
    }
    defer { unsafe EVP_PKEY_free(key) }
    guard unsafe EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1,
      count == KeyFile.keyByteCount
    else { throw Self.failure }
    publicKey = PublicKey(bytes: bytes)
  }

  private static let failure = PackageFault(
    "keyFailed", "the OpenSSL library of this machine refuses an Ed25519 key; install OpenSSL 3",
    exitStatus: .unavailable)

  /// A new key of the system's randomness.
  public static func generate() throws(PackageFault) -> SigningKey {
    var seed = [UInt8](repeating: 0, count: KeyFile.keyByteCount)
    guard unsafe RAND_priv_bytes(&seed, Int32(seed.count)) == 1 else { throw failure }
    return try SigningKey(seed: seed)
  }

  /// Reads a PEM file.
  public init(path: String) throws {
    try self.init(seed: try KeyFile.read(.privateKey, from: path, exitStatus: .badData))
  }

  /// The PEM file.
  public var fileText: String { KeyFile.text(.privateKey, seed) }

  /// 64 bytes, the same for the same message.
  public func signature(of message: [UInt8]) throws(PackageFault) -> [UInt8] {
    guard let key = unsafe EVP_PKEY_new_raw_private_key(NID_ED25519, nil, seed, seed.count),
      let context = unsafe EVP_MD_CTX_new()
    else { throw Self.failure }
    defer {
      unsafe EVP_MD_CTX_free(context)
      unsafe EVP_PKEY_free(key)
    }
    var signature = [UInt8](repeating: 0, count: SignatureEnvelope.signatureByteCount)
    var count = signature.count
    guard unsafe EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
      unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1,
      count == signature.count
    else { throw Self.failure }
    return signature
  }
}
