import NIOCore
import NIOSSL
import TensorCore

/// Who a side of a TLS link is, and whom it speaks with: holders of the same key.
///
/// TLS 1.3 and nothing older. Both sides show their certificate and prove that they have its key;
/// a certificate is accepted where it equals one's own, byte by byte. Names, dates and issuers do
/// not count.
public struct TLSIdentity: Sendable {
  private let context: NIOSSLContext
  private let certificate: [UInt8]

  /// - Parameters:
  ///   - certificate: DER.
  ///   - privateKey: DER of the key that belongs to it, PKCS #8.
  /// Throws: `transport.identity` where they cannot be used.
  public init(certificate: [UInt8], privateKey: [UInt8]) throws(TransportFault) {
    do {
      let own = try NIOSSLCertificate(bytes: certificate, format: .der)
      var configuration = TLSConfiguration.makeServerConfigurationWithMTLS(
        certificateChain: [.certificate(own)],
        privateKey: .privateKey(try NIOSSLPrivateKey(bytes: privateKey, format: .der)),
        trustRoots: .certificates([own]))
      configuration.minimumTLSVersion = .tlsv13
      configuration.verifySignatureAlgorithms = [.ed25519]
      configuration.signingSignatureAlgorithms = [.ed25519]
      // Who does not answer a goodbye is not waited for.
      configuration.shutdownTimeout = .milliseconds(500)
      context = try NIOSSLContext(configuration: configuration)
      self.certificate = certificate
    } catch {
      throw TransportFault(
        "identity", "the cluster identity cannot be used: \(error)", exitStatus: .notTrusted)
    }
  }

  func makeServerHandler() -> NIOSSLServerHandler {
    NIOSSLServerHandler(context: context, customVerificationCallback: verification)
  }

  func makeClientHandler() throws -> NIOSSLClientHandler {
    try NIOSSLClientHandler(
      context: context, serverHostname: nil, customVerificationCallback: verification)
  }

  private var verification: NIOSSLCustomVerificationCallback {
    { [certificate] shown, result in
      let isOurs = (try? shown.first?.toDERBytes()) == certificate
      result.succeed(isOurs ? .certificateVerified : .failed)
    }
  }
}

extension TransportFault {
  /// The reason behind a TLS connection that failed; nil for another error, and for one that was
  /// only closed.
  init?(tls error: any Error) {
    guard case NIOSSLError.handshakeFailed(let cause)? = error as? NIOSSLError else { return nil }
    let text = "\(cause)"
    let reasons: [([String], TransportFault)] = [
      (
        ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"],
        Self.oneSideIsEncrypted("the other side does not speak TLS")
      ),
      (["CERTIFICATE_VERIFY_FAILED"], Self.foreign("has another cluster identity")),
      (["PEER_DID_NOT_RETURN_A_CERTIFICATE"], Self.foreign("shows no cluster identity")),
      (["_ALERT_"], Self.foreign("refuses this cluster identity")),
    ]
    for (words, fault) in reasons where words.contains(where: { text.contains($0) }) {
      self = fault
      return
    }
    if text.contains("EOF during handshake") { return nil }
    // Of "SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL at file:line" the word in capitals.
    let word = text.word(behind: "OPENSSL_internal:") ?? "no reason is known"
    self.init(
      "tls", "the other side speaks no TLS 1.3 that this one understands (\(word))",
      exitStatus: .notTrusted)
  }

  /// The same, with what was to be done.
  func connecting(to address: HostPort) -> TransportFault {
    TransportFault(
      String(code.dropFirst("transport.".count)), "cannot connect to \(address): \(message)",
      exitStatus: exitStatus, context: ["address": "\(address)"])
  }

  private static func foreign(_ what: String) -> TransportFault {
    TransportFault(
      "identity", "the other side \(what); give all machines the same one with --key",
      exitStatus: .notTrusted)
  }

  /// One side speaks TLS and the other one does not.
  static func oneSideIsEncrypted(_ what: String) -> TransportFault {
    TransportFault(
      "encryption",
      "\(what): only one of the two has a cluster identity; give both the same one with --key",
      exitStatus: .notTrusted)
  }
}

extension LinkClosure {
  /// Whether the link ended because of who the other side is, or is not.
  public var isDistrust: Bool {
    guard case .violated(let code, _) = self else { return false }
    return ["transport.identity", "transport.encryption", "transport.tls"].contains(code)
  }
}

extension String {
  /// The word behind some text, up to a space.
  fileprivate func word(behind mark: String) -> String? {
    guard let start = firstRange(of: mark)?.upperBound else { return nil }
    return String(self[start...].prefix { $0 != " " })
  }
}
