import StrictJSON
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The highest sequence number that was seen of each line of bundles: what makes an older bundle
/// with a right signature recognisable.
///
/// A line is a key and a model's name. Numbers only ever grow, and only after everything about
/// the bundle was found right.
struct SequenceLedger: Sendable {
  struct Line: Sendable, Hashable {
    let key: Digest
    let name: String
  }

  let path: String
  private static let schema = "shardtool.sequences/1"
  private static let limit = 4 << 20

  /// The numbers by line.
  ///
  /// Throws: `PackageFault` where the file cannot be read: then nobody knows what was seen.
  func read() throws(PackageFault) -> [Line: Int] {
    var status = stat()
    if unsafe lstat(path, &status) != 0, errno == ENOENT || errno == ENOTDIR { return [:] }
    let value: JSONValue
    do {
      value = try JSONParsing().parse(try InputFile.contents(of: path, limit: Self.limit))
    } catch {
      throw unreadable((error as? any Fault)?.message ?? "it is no JSON")
    }
    guard let object = value.object, object.count == 2,
      object["schema"]?.string == Self.schema, let entries = object["lines"]?.array
    else { throw unreadable("it is not of the form \(Self.schema)") }
    var lines: [Line: Int] = [:]
    for entry in entries {
      guard let key = entry["key"]?.string.flatMap({ Digest($0) }),
        let name = entry["name"]?.string, ManifestLimits.isPlainName(name),
        let sequence = entry["sequence"]?.int, ManifestLimits.sequence.contains(sequence),
        entry.object?.count == 3,
        lines.updateValue(sequence, forKey: Line(key: key, name: name)) == nil
      else { throw unreadable("an entry of it is not sound") }
    }
    return lines
  }

  private func unreadable(_ reason: String) -> PackageFault {
    PackageFault(
      "sequences",
      "which bundles were seen before stands in \(path), which cannot be read (\(reason)); bring "
        + "it back, or remove it to begin anew with what you have now",
      exitStatus: .notTrusted, context: ["file": path])
  }

  /// Raises lines to a number. Processes take turns.
  func raise(_ lines: [Line], to sequence: Int) throws {
    let known = try read()
    guard lines.contains(where: { (known[$0] ?? 0) < sequence }) else { return }
    do {
      try Directory.create(Directory.parent(of: path))
      let lock = try lock()
      defer { close(lock) }
      var numbers = try read()
      for line in lines { numbers[line] = max(numbers[line] ?? 0, sequence) }
      try Directory.writeAtomically(Array(text(numbers).utf8), to: path)
    } catch let fault as FileFault {
      throw PackageFault(
        "sequences",
        "the bundle's sequence number cannot be remembered, and without it older bundles would "
          + "pass: \(fault.message); give another place with --trust-state",
        exitStatus: .notTrusted, context: ["file": path])
    }
  }

  private func text(_ numbers: [Line: Int]) -> String {
    let sorted = numbers.sorted {
      ($0.key.key.hexadecimal, $0.key.name) < ($1.key.key.hexadecimal, $1.key.name)
    }
    let value: JSONValue = [
      "schema": .string(Self.schema),
      "lines": .array(
        sorted.map { line, sequence in
          [
            "key": .string(line.key.description), "name": .string(line.name),
            "sequence": JSONValue(sequence),
          ]
        }),
    ]
    return value.serialized(.pretty)
  }

  private func lock() throws(FileFault) -> Int32 {
    let name = path + ".lock"
    let descriptor = unsafe open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      throw FileFault("create", path: name, errno: errno, isOutput: true)
    }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else {
        close(descriptor)
        throw FileFault("lock", path: name, errno: errno, isOutput: true)
      }
    }
    return descriptor
  }
}
