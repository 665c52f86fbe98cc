import StrictJSON
import TensorCore

/// What became of the question whether a bundle comes from someone who is trusted.
public enum TrustVerdict: Sendable {
  /// Nobody asked.
  case notAsked
  /// Signed by these trusted keys, and not older than what was seen before.
  case trusted([PublicKey])
  /// Not proved, and the policy is to go on with a warning: the reason.
  case doubtful(PackageFault)

  /// Why not; nil where there is nothing to say.
  public var doubt: PackageFault? {
    if case .doubtful(let fault) = self { fault } else { nil }
  }

  /// The same as sentences.
  public var doubts: [String] { doubt.map { [$0.message] } ?? [] }
}

/// Judges a directory's manifest.json before anything in it is believed.
struct TrustCheck {
  let requirement: TrustRequirement
  let directory: String

  /// Whether trusted keys have signed these bytes.
  ///
  /// Throws: `PackageFault` with the status "not trusted", where trust is enforced.
  func judgeSignatures(of manifest: [UInt8]) throws -> TrustVerdict {
    guard requirement.policy != .off else { return .notAsked }
    return try decide { .trusted(try signers(of: manifest)) }
  }

  /// Whether the manifest, of which the signatures were judged, is not older than one seen before.
  func judgeSequence(
    of manifest: Manifest, _ verdict: TrustVerdict
  ) throws -> TrustVerdict {
    guard case .trusted(let keys) = verdict else { return verdict }
    return try decide {
      guard let ledger = requirement.ledger else {
        throw doubt(
          "sequences",
          "there is no place to remember which bundles were seen (no HOME); give one with "
            + "--trust-state")
      }
      let known = try ledger.read()
      for key in keys {
        let line = SequenceLedger.Line(key: key.id, name: manifest.name)
        guard let highest = known[line], highest > manifest.sequence else { continue }
        throw doubt(
          "rolledBack",
          "\(manifestPath) is number \(manifest.sequence) of \(manifest.name), and number "
            + "\(highest) signed by the same key was seen here before, so this one is out of "
            + "date; get the newer bundle, or have this one packed with --sequence "
            + "\(highest + 1)")
      }
      return verdict
    }
  }

  private var manifestPath: String { "\(directory)/\(BundleFiles.manifest)" }
  private var path: String { "\(directory)/\(BundleFiles.signature)" }

  private func decide(_ judge: () throws -> TrustVerdict) throws -> TrustVerdict {
    do { return try judge() } catch let fault as any Fault {
      let doubt = PackageFault(untrusted: fault)
      guard requirement.policy == .warn else { throw doubt }
      return .doubtful(doubt)
    }
  }

  private func doubt(_ reason: String, _ message: String) -> PackageFault {
    PackageFault(reason, message, exitStatus: .notTrusted, context: ["file": path])
  }

  /// The trusted keys that have signed; at least one.
  private func signers(of manifest: [UInt8]) throws -> [PublicKey] {
    guard let envelope = try SignatureEnvelope.read(in: directory, manifest: manifest) else {
      throw doubt(
        "unsigned",
        "\(path) is missing, so nobody vouches for this bundle; copy the bundle with it, or have "
          + "it signed: shardtool sign BUNDLE --key KEY")
    }
    var trusted: [Digest: PublicKey] = [:]
    for key in requirement.keys { trusted[key.id] = key }
    let message = SignatureEnvelope.preAuthentication(of: manifest)
    var signers: [PublicKey] = []
    for signature in envelope.signatures {
      guard let key = trusted[signature.keyID] else { continue }
      guard key.isSignature(signature.bytes, of: message) else {
        throw doubt(
          "badSignature",
          "\(path) holds a wrong signature of the key \(key.id); get the bundle again from who "
            + "packed it")
      }
      signers.append(key)
    }
    guard !signers.isEmpty else {
      let theirs = envelope.signatures.map(\.keyID.description).joined(separator: ", ")
      let ours = requirement.keys.map(\.id.description).joined(separator: ", ")
      throw doubt(
        "unknownKey",
        "\(path) is signed by \(theirs), and trusted is \(ours); get the bundle from someone you "
          + "trust, or trust that key if you know whose it is")
    }
    return signers
  }
}

extension VerifiedPackage {
  /// Remembers the bundle's sequence number, so that an older bundle is refused from now on. To
  /// be called when everything that is needed of this one was found right.
  ///
  /// Throws: `PackageFault` ("not trusted") where that cannot be remembered.
  public func recordSequence() throws {
    guard case .trusted(let keys) = trust, let ledger = requirement.ledger else { return }
    let lines = keys.map { SequenceLedger.Line(key: $0.id, name: manifest.name) }
    do {
      try ledger.raise(lines, to: manifest.sequence)
    } catch {
      guard requirement.policy == .warn else { throw error }
    }
  }
}
