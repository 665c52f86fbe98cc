import Foundation
import ShardRuntime
import Testing

@Suite struct ChildProcessTests {
  @Test func endsWithItsInput() throws {
    let child = try ChildProcess(program: "/bin/sh", arguments: ["-c", "cat >/dev/null; exit 3"])
    #expect(child.ended == nil)
    child.stop(gracePeriod: .seconds(10))
    #expect(child.ended == .status(3))
    #expect(kill(child.identifier, 0) == -1)
  }

  @Test func isKilledWhereItDoesNotEnd() throws {
    let child = try ChildProcess(program: "/bin/sleep", arguments: ["100"])
    child.stop(gracePeriod: .milliseconds(50))
    #expect(child.ended == .signal(SIGKILL))
  }

  @Test func doesNotOutliveTheValue() throws {
    var child: ChildProcess? = try ChildProcess(program: "/bin/sleep", arguments: ["100"])
    let identifier = try #require(child?.identifier)
    child = nil
    #expect(kill(identifier, 0) == -1)
  }

  @Test func sharesNoPipeWithItsSiblings() throws {
    // The first child ends with its input although the second one still runs.
    let first = try ChildProcess(program: "/bin/cat", arguments: [])
    let second = try ChildProcess(program: "/bin/cat", arguments: [])
    first.stop(gracePeriod: .seconds(10))
    #expect(first.ended == .status(0))
    #expect(second.ended == nil)
    second.stop()
  }

  @Test func reportsAProgramThatIsNotThere() {
    #expect(
      performing: {
        _ = try ChildProcess(program: "/nonexistent/program", arguments: [])
      }, throws: { ($0 as? LocalFault)?.code == "local.cannotStart" })
  }
}
