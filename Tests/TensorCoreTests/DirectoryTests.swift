import TensorCore
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct DirectoryTests {
  let place: TemporaryDirectory

  init() throws { place = try TemporaryDirectory() }

  private func write(_ bytes: [UInt8], _ name: String) throws {
    try OutputFile(path: place.appending(name)).write(bytes, at: 0)
  }

  private func read(_ name: String) throws -> [UInt8] {
    try InputFile.contents(of: place.appending(name))
  }

  @Test func createsParentsAndListsSorted() throws {
    try Directory.create(place.appending("x/y/z"))
    try Directory.create(place.appending("x/y/z"))
    try write([1], "x/b")
    try write([1], "x/a")
    #expect(try Directory.names(in: place.appending("x")) == ["a", "b", "y"])
    #expect(Directory.exists(place.appending("x/y/z")))
    #expect(!Directory.exists(place.appending("x/a")))
    #expect(Directory.isFile(place.appending("x/a")))
    #expect(!Directory.isFile(place.appending("x/y")))
    #expect(!Directory.isFile(place.appending("absent")))
  }

  @Test(arguments: [
    ("/a/b", "/a", "b"), ("/a/b/", "/a", "b"), ("/a", "/", "a"), ("/", "/", "/"), ("a", ".", "a"),
    ("a/b", "a", "b"), ("a//b", "a/", "b"), ("", ".", ""),
  ])
  func splitsPaths(path: String, parent: String, name: String) {
    #expect(Directory.parent(of: path) == parent)
    #expect(Directory.name(of: path) == name)
  }

  @Test func removesTreesButNotWhatLinksLeadTo() throws {
    try Directory.create(place.appending("tree/inner"))
    try write([1], "tree/inner/file")
    try write([2], "kept")
    #expect(unsafe symlink("../kept", place.appending("tree/link")) == 0)
    #expect(unsafe symlink("..", place.appending("tree/inner/up")) == 0)
    try Directory.remove(place.appending("tree"))
    try Directory.remove(place.appending("tree"))
    #expect(try Directory.names(in: place.path) == ["kept"])
  }

  @Test func removesADanglingLink() throws {
    #expect(unsafe symlink("nowhere", place.appending("link")) == 0)
    try Directory.remove(place.appending("link"))
    #expect(try Directory.names(in: place.path).isEmpty)
  }

  @Test func outputsAreNotWrittenThroughLinks() throws {
    try write([1, 2], "kept")
    #expect(unsafe symlink("kept", place.appending("link")) == 0)
    for keepsContents in [false, true] {
      #expect(throws: FileFault.self) {
        try OutputFile(path: place.appending("link"), keepsContents: keepsContents)
      }
    }
    #expect(try read("kept") == [1, 2])
    #expect(Directory.isLink(place.appending("link")) && !Directory.isLink(place.path))
    #expect(Directory.isFile(place.appending("link")))
    #expect(!Directory.isFileItself(place.appending("link")))
  }

  @Test func resolvesLinks() throws {
    try write([1], "file")
    #expect(unsafe symlink("file", place.appending("link")) == 0)
    #expect(
      Directory.resolved(place.appending("link")) == Directory.resolved(place.appending("file")))
    #expect(Directory.resolved(place.appending("absent")) == nil)
  }

  @Test func linksShareBytesAndKeepAnExistingTarget() throws {
    try write([1, 2, 3], "file")
    try Directory.link(place.appending("file"), to: place.appending("second"))
    #expect(try read("second") == [1, 2, 3])
    var one = stat()
    var two = stat()
    #expect(unsafe stat(place.appending("file"), &one) == 0)
    #expect(unsafe stat(place.appending("second"), &two) == 0)
    #expect(one.st_ino == two.st_ino)
    try Directory.link(place.appending("file"), to: place.appending("second"))
    #expect(throws: FileFault.self) {
      try Directory.link(place.appending("absent"), to: place.appending("third"))
    }
  }

  @Test func writesAtomically() throws {
    let path = place.appending("file")
    try Directory.writeAtomically([1], to: path)
    try Directory.writeAtomically([2, 3], to: path)
    #expect(try read("file") == [2, 3])
    #expect(try Directory.names(in: place.path) == ["file"])
    // A directory in the way: the fault is told, and no partial file stays.
    try Directory.create(place.appending("taken/inner"))
    #expect(throws: FileFault.self) {
      try Directory.writeAtomically([1], to: place.appending("taken"))
    }
    #expect(try Directory.names(in: place.path) == ["file", "taken"])
  }

  @Test func renamesOverAnotherFile() throws {
    try write([1], "a")
    try write([2], "b")
    try Directory.rename(place.appending("a"), to: place.appending("b"))
    #expect(try read("b") == [1])
    #expect(throws: FileFault.self) {
      try Directory.rename(place.appending("a"), to: place.appending("c"))
    }
  }

  @Test func exchangesTwoNames() throws {
    try Directory.create(place.appending("a"))
    try write([1], "a/old")
    try Directory.create(place.appending("b"))
    try write([2], "b/new")
    let number = AtomicExchange.exchange(place.appending("a"), place.appending("b"))
    // Some file systems cannot; they have to say so and leave everything as it was.
    let names = try Directory.names(in: place.appending("a"))
    #expect(names == (number == 0 ? ["new"] : ["old"]))
    #expect(AtomicExchange.exchange(place.appending("a"), place.appending("absent")) != 0)
    #expect(try Directory.names(in: place.path) == ["a", "b"])
  }

  @Test func faultsNameThePathAndTheWay() throws {
    let absent = place.appending("absent")
    let missing = try #require(throws: FileFault.self) { try Directory.names(in: absent) }
    #expect(missing.code == "file.missing")
    #expect(missing.exitStatus == .noInput)
    #expect(missing.message.contains(absent))
    #expect(missing.description == missing.message)
    #expect(missing.context == ["file": absent])

    let full = FileFault("write", path: "/x", errno: ENOSPC, isOutput: true)
    #expect(full.code == "file.diskFull")
    #expect(full.exitStatus == .inputOutput)
    #expect(full.message.contains("free some space"))
    let denied = FileFault("create", path: "/x", errno: EACCES, isOutput: true)
    #expect(denied.exitStatus == .cannotCreate)
    #expect(FileFault("open", path: "/x", errno: EACCES, isOutput: false).exitStatus == .noInput)
    #expect(FileFault("read", path: "/x", errno: EIO, isOutput: false).exitStatus == .inputOutput)
  }

  @Test(arguments: [
    ("a/.out.partial/b", "a/out/b"), ("a/plan.json.4711.partial", "a/plan.json"),
    ("x.safetensors.partial", "x.safetensors"), (".out.partial.old.partial", "out"),
    ("a/b", "a/b"), (".partial", ".partial"), ("/x/", "/x/"),
  ])
  func faultsNameWhatWillBe(staged: String, final: String) {
    let fault = FileFault("write", path: staged, errno: ENOSPC, isOutput: true)
    #expect(fault.message.hasPrefix("cannot write \(final): "))
    #expect(fault.context["file"] == final)
  }
}
