/// Runs a program over one text, preferring what a backtracking engine prefers, in time linear in
/// the text: what is known to fail, or to end somewhere, from an instruction at a place is noted
/// once the search takes more steps than a simple pattern would, and never tried again.
struct RegexMatcher: ~Copyable {
  private let program: RegexProgram
  private let text: [UInt8]
  /// The part of `text` to search; assertions and look-arounds see nothing else.
  private let bounds: Range<Int>

  private enum Frame {
    case alternative(instruction: Int, place: Int)
    /// A run that began at `start` and has not given back what stands before `place`.
    case run(instruction: Int, start: Int, place: Int)
    /// Below the ways of a split: reached when all failed.
    case mark(instruction: Int, place: Int)
    case restoreLoop(loop: Int, place: Int)
  }

  private var stack: [Frame] = []
  private var loopPlaces: [Int]
  /// The last run of each set.
  private var runs: [Range<Int>]
  private var steps = 0
  private var takesNotes = false
  /// One bit for each instruction and place that cannot lead to a match.
  private var failed: [UInt64] = []
  /// Where a match inside an atomic group or look-around ends, by instruction and place.
  private var ends: [Int: Int] = [:]

  init(_ program: RegexProgram, _ text: [UInt8], _ bounds: Range<Int>) {
    self.program = program
    self.text = text
    self.bounds = bounds
    loopPlaces = Array(repeating: -1, count: program.loopCount)
    runs = Array(repeating: 0..<0, count: program.sets.count)
  }

  /// The matches from left to right, as `find_iter` of other libraries gives them: none overlap,
  /// and no empty one stands where the last one ended.
  mutating func matches() -> [Range<Int>] {
    var matches: [Range<Int>] = []
    var start = bounds.lowerBound
    var lastEnd: Int?
    while start <= bounds.upperBound {
      guard let match = firstMatch(from: start) else { break }
      if match.isEmpty {
        if match.lowerBound != lastEnd { matches.append(match) }
        guard match.upperBound < bounds.upperBound else { break }
        start = match.upperBound + UTF8Text.length(firstByte: text[match.upperBound])
      } else {
        matches.append(match)
        start = match.upperBound
      }
      lastEnd = match.upperBound
    }
    return matches
  }

  private mutating func firstMatch(from first: Int) -> Range<Int>? {
    var start = first
    while true {
      if let end = run(from: program.start, at: start, isInside: false) { return start..<end }
      guard start < bounds.upperBound else { return nil }
      start += UTF8Text.length(firstByte: text[start])
    }
  }

  // MARK: - Notes

  private var stepLimit: Int { 64 * bounds.count + 4096 }

  private mutating func startNotes() {
    takesNotes = true
    let bits = program.instructions.count * (bounds.count + 1)
    failed = Array(repeating: 0, count: bits / 64 + 1)
  }

  @inline(__always)
  private func note(_ instruction: Int, _ place: Int) -> Int {
    instruction * (bounds.count + 1) + place - bounds.lowerBound
  }

  private func hasFailed(_ instruction: Int, _ place: Int) -> Bool {
    let bit = note(instruction, place)
    return failed[bit >> 6] >> UInt64(bit & 63) & 1 != 0
  }

  private mutating func noteFailure(_ instruction: Int, _ place: Int) {
    let bit = note(instruction, place)
    failed[bit >> 6] |= 1 << UInt64(bit & 63)
  }

  // MARK: - Running

  /// The end of the preferred match of the instructions from `first` on.
  ///
  /// - Parameter isInside: whether they are the body of an atomic group or look-around.
  private mutating func run(from first: Int, at start: Int, isInside: Bool) -> Int? {
    let base = stack.count
    var instruction = first
    var place = start
    while true {
      steps += 1
      if steps > stepLimit, !takesNotes { startNotes() }
      var succeeded = true
      switch program.instructions[instruction] {
      case .scalar, .set, .possessiveRun, .look, .atomic, .assertion:
        succeeded = advance(program.instructions[instruction], &place)
        instruction += 1
      case .run(let index) where !takesNotes:
        let end = endOfRun(index, place)
        if end > place {
          stack.append(.run(instruction: instruction, start: place, place: end))
        }
        place = end
        instruction += 1
      case .run(let index):
        // One scalar at a time: where a longer run failed before, that is known.
        if let known = known(instruction, place, isInside) {
          guard let end = known else {
            succeeded = false
            break
          }
          unwind(to: base, end: isInside ? end : nil)
          return end
        }
        let set = program.sets[index]
        stack.append(.mark(instruction: instruction, place: place))
        let here = place
        if step(&place, { set.contains($0) }) {
          stack.append(.alternative(instruction: instruction + 1, place: here))
        } else {
          instruction += 1
        }
      case .split(let preferred, let other):
        if let known = known(instruction, place, isInside) {
          guard let end = known else {
            succeeded = false
            break
          }
          unwind(to: base, end: isInside ? end : nil)
          return end
        }
        if takesNotes { stack.append(.mark(instruction: instruction, place: place)) }
        stack.append(.alternative(instruction: other, place: place))
        instruction = preferred
      case .jump(let target): instruction = target
      case .loopInit(let loop):
        setLoop(loop, -1)
        instruction += 1
      case .loopTurn(let loop, let exit):
        let isEmptyTurn = loopPlaces[loop] == place
        if !isEmptyTurn { setLoop(loop, place) }
        instruction = isEmptyTurn ? exit : instruction + 1
      case .accept:
        unwind(to: base, end: isInside ? place : nil)
        return place
      }
      if !succeeded {
        guard let (next, position) = backtrack(to: base) else { return nil }
        instruction = next
        place = position
      }
    }
  }

  /// Executes an instruction that leads to the next one alone, or fails.
  @inline(__always)
  private mutating func advance(
    _ instruction: RegexProgram.Instruction, _ place: inout Int
  ) -> Bool {
    switch instruction {
    case .scalar(let wanted): return step(&place) { $0 == wanted }
    case .set(let index):
      let set = program.sets[index]
      return step(&place) { set.contains($0) }
    case .possessiveRun(let index):
      place = endOfRun(index, place)
      return true
    case .look(let body, let isNegative, let isAhead, let length):
      return look(body, isAhead, length, from: place) != isNegative
    case .atomic(let body):
      let end = run(from: body, at: place, isInside: true)
      place = end ?? place
      return end != nil
    case .assertion(let assertion): return holds(assertion, place)
    default: preconditionFailure("an instruction with a choice")
    }
  }

  /// What the notes say: nil nothing, .some(nil) that it fails, else where it ends.
  @inline(__always)
  private func known(_ instruction: Int, _ place: Int, _ isInside: Bool) -> Int?? {
    guard takesNotes else { return nil }
    if hasFailed(instruction, place) { return .some(nil) }
    if isInside, let end = ends[note(instruction, place)] { return .some(end) }
    return nil
  }

  private mutating func setLoop(_ loop: Int, _ place: Int) {
    stack.append(.restoreLoop(loop: loop, place: loopPlaces[loop]))
    loopPlaces[loop] = place
  }

  @inline(__always)
  private func step(_ place: inout Int, _ matches: (UInt32) -> Bool) -> Bool {
    guard place < bounds.upperBound else { return false }
    let (scalar, length) = UTF8Text.scalar(text, place)
    guard matches(scalar) else { return false }
    place += length
    return true
  }

  /// The end of the run of a set; from every place within the last run it is the same.
  private mutating func endOfRun(_ index: Int, _ start: Int) -> Int {
    if runs[index].contains(start) { return runs[index].upperBound }
    let set = program.sets[index]
    var place = start
    while step(&place, { set.contains($0) }) {}
    runs[index] = start..<place
    return place
  }

  /// The next way to try, down to the frames of an outer run.
  private mutating func backtrack(to base: Int) -> (instruction: Int, place: Int)? {
    while stack.count > base, let frame = stack.popLast() {
      switch frame {
      case .alternative(let instruction, let place): return (instruction, place)
      case .restoreLoop(let loop, let place): loopPlaces[loop] = place
      case .mark(let instruction, let place):
        noteFailure(instruction, place)
      case .run(let instruction, let start, let place):
        if place > start {
          let previous = place - UTF8Text.scalar(text, before: place).length
          stack.append(.run(instruction: instruction, start: start, place: previous))
          return (instruction + 1, previous)
        }
        if takesNotes { noteFailure(instruction, start) }
      }
    }
    return nil
  }

  /// Drops the frames of a run that succeeded, noting where it ended if that is given.
  private mutating func unwind(to base: Int, end: Int?) {
    while stack.count > base, let frame = stack.popLast() {
      switch frame {
      case .alternative: break
      case .restoreLoop(let loop, let place): loopPlaces[loop] = place
      case .mark(let instruction, let place):
        if let end { ends[note(instruction, place)] = end }
      case .run: break
      }
    }
  }

  private mutating func look(_ body: Int, _ isAhead: Bool, _ length: Int, from place: Int) -> Bool {
    var start = place
    if !isAhead {
      for _ in 0..<length {
        guard start > bounds.lowerBound else { return false }
        start -= UTF8Text.scalar(text, before: start).length
      }
    }
    return run(from: body, at: start, isInside: true) != nil
  }

  // MARK: - Assertions

  private func holds(_ assertion: RegexNode.Assertion, _ place: Int) -> Bool {
    let isStart = place == bounds.lowerBound
    let isEnd = place == bounds.upperBound
    switch assertion {
    case .textStart: return isStart
    case .textEnd: return isEnd
    case .lineStart: return isStart || (text[place - 1] == 0x0A && !isEnd)
    case .lineEnd: return isEnd || text[place] == 0x0A
    case .textEndOrLastNewline:
      return isEnd || (place + 1 == bounds.upperBound && text[place] == 0x0A)
    case .wordBoundary, .notWordBoundary:
      let before = !isStart && isWord(UTF8Text.scalar(text, before: place).value)
      let after = !isEnd && isWord(UTF8Text.scalar(text, place).value)
      return (before != after) == (assertion == .wordBoundary)
    }
  }

  private func isWord(_ scalar: UInt32) -> Bool { ScalarSet.word.contains(scalar) }
}
