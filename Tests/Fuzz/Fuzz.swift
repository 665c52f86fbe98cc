import FuzzTargets

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What is being fuzzed, named by the environment variable FUZZ_TARGET.
private struct Session {
  let target: FuzzTarget
  let place: FuzzPlace

  static let current: Session = {
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else {
      preconditionFailure(
        "FUZZ_TARGET is \"\(name)\"; it names one of "
          + FuzzTarget.all.map(\.name).joined(separator: ", "))
    }
    guard let place = try? target.makePlace() else {
      preconditionFailure("no directory for temporary files; set TMPDIR")
    }
    return Session(target: target, place: place)
  }()
}

/// Called by libFuzzer, which brings `main`, with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let session = Session.current
  let input = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
  if case .broken(let sentence) = session.target.verdict(on: input, in: session.place) {
    preconditionFailure(sentence)
  }
  return 0
}

/// Constants are never freed, and some hold pointers with marks that the leak sanitizer cannot
/// read.
@_cdecl("__lsan_default_suppressions")
public func leakSuppressions() -> UnsafePointer<CChar> {
  let text: StaticString = "leak:once_slow\n"
  return unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
