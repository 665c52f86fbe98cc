/// A regular expression as instructions for the matcher.
struct RegexProgram: Sendable {
  enum Instruction: Sendable {
    case scalar(UInt32)
    /// An index into `sets`.
    case set(Int)
    /// Any number of scalars of a set, as many as can be; gives back one at a time.
    case run(set: Int)
    /// The same, without giving back.
    case possessiveRun(set: Int)
    /// Two ways on; the first is preferred.
    case split(Int, Int)
    case jump(Int)
    /// Before a loop whose body may be empty: forgets where its last turn began.
    case loopInit(loop: Int)
    /// At each turn of such a loop: leaves it where the last turn took nothing.
    case loopTurn(loop: Int, exit: Int)
    case look(body: Int, isNegative: Bool, isAhead: Bool, length: Int)
    case atomic(body: Int)
    case assertion(RegexNode.Assertion)
    case accept
  }

  private(set) var instructions: [Instruction] = []
  private(set) var sets: [CompiledScalarSet] = []
  private(set) var loopCount = 0
  private(set) var start = 0
  /// Bodies of atomic groups and look-arounds, compiled behind the main part.
  private var bodies: [(node: RegexNode, instruction: Int)] = []

  static let maximumLength = 8192

  init(pattern: String) throws(RegexError) {
    var parser = RegexParser(pattern)
    let node = try parser.parse()
    try compile(node)
    try emit(.accept)
    var next = 0
    while next < bodies.count {
      let (body, instruction) = bodies[next]
      let begin = instructions.count
      try compile(body)
      try emit(.accept)
      switch instructions[instruction] {
      case .look(_, let isNegative, let isAhead, let length):
        instructions[instruction] = .look(
          body: begin, isNegative: isNegative, isAhead: isAhead, length: length)
      default: instructions[instruction] = .atomic(body: begin)
      }
      next += 1
    }
    bodies = []
  }

  private mutating func emit(_ instruction: Instruction) throws(RegexError) {
    guard instructions.count < Self.maximumLength else {
      throw RegexError(message: "a pattern of more than \(Self.maximumLength) steps")
    }
    instructions.append(instruction)
  }

  private mutating func addSet(_ set: ScalarSet) -> Int {
    sets.append(CompiledScalarSet(set))
    return sets.count - 1
  }

  private mutating func compile(_ node: RegexNode) throws(RegexError) {
    switch node {
    case .empty: break
    case .set(.ranges(let ranges)) where ranges.count == 1 && ranges[0].count == 1:
      try emit(.scalar(ranges[0].lowerBound))
    case .set(let set): try emit(.set(addSet(set)))
    case .sequence(let nodes): for node in nodes { try compile(node) }
    case .alternation(let branches): try compileAlternation(branches)
    case .repetition(let node, let minimum, let maximum, let kind):
      try compileRepetition(node, minimum, maximum, kind)
    case .look(let body, let isAhead, let isNegative):
      try compileLook(body, isAhead: isAhead, isNegative: isNegative)
    case .atomic(let body):
      bodies.append((body, instructions.count))
      try emit(.atomic(body: 0))
    case .assertion(let assertion): try emit(.assertion(assertion))
    }
  }

  private mutating func compileAlternation(_ branches: [RegexNode]) throws(RegexError) {
    var jumps: [Int] = []
    for (index, branch) in branches.enumerated() {
      guard index < branches.count - 1 else {
        try compile(branch)
        break
      }
      let split = instructions.count
      try emit(.split(split + 1, 0))
      try compile(branch)
      jumps.append(instructions.count)
      try emit(.jump(0))
      instructions[split] = .split(split + 1, instructions.count)
    }
    for jump in jumps { instructions[jump] = .jump(instructions.count) }
  }

  private mutating func compileRepetition(
    _ node: RegexNode, _ minimum: Int, _ maximum: Int?, _ kind: RegexNode.Kind
  ) throws(RegexError) {
    if case .set(let set) = node, maximum == nil, kind != .lazy {
      for _ in 0..<minimum { try compile(node) }
      let index = addSet(set)
      try emit(kind == .greedy ? .run(set: index) : .possessiveRun(set: index))
      return
    }
    if kind == .possessive {
      return try compile(
        .atomic(.repetition(node, minimum: minimum, maximum: maximum, .greedy)))
    }
    // What compiles to nothing is nothing, however often it stands there.
    let before = instructions.count
    if minimum > 0 { try compile(node) }
    let isNothing = minimum > 0 && instructions.count == before
    if minimum > 1, !isNothing { for _ in 1..<minimum { try compile(node) } }
    if isNothing { return }
    guard let maximum else { return try compileLoop(node, isLazy: kind == .lazy) }
    var splits: [Int] = []
    for _ in minimum..<max(minimum, maximum) {
      splits.append(instructions.count)
      try emit(.split(0, 0))
      try compile(node)
    }
    let end = instructions.count
    for split in splits {
      instructions[split] = kind == .lazy ? .split(end, split + 1) : .split(split + 1, end)
    }
  }

  private mutating func compileLoop(_ node: RegexNode, isLazy: Bool) throws(RegexError) {
    let loop = loopCount
    let canBeEmpty = node.canBeEmpty
    if canBeEmpty {
      loopCount += 1
      try emit(.loopInit(loop: loop))
    }
    let turn = instructions.count
    if canBeEmpty { try emit(.loopTurn(loop: loop, exit: 0)) }
    let split = instructions.count
    try emit(.split(0, 0))
    try compile(node)
    try emit(.jump(turn))
    let end = instructions.count
    instructions[split] = isLazy ? .split(end, split + 1) : .split(split + 1, end)
    if canBeEmpty { instructions[turn] = .loopTurn(loop: loop, exit: end) }
  }

  private mutating func compileLook(
    _ body: RegexNode, isAhead: Bool, isNegative: Bool
  ) throws(RegexError) {
    // Behind, each branch may have its own length.
    if !isAhead, case .alternation(let branches) = body, body.fixedLength == nil {
      let looks = branches.map { RegexNode.look($0, isAhead: false, isNegative: isNegative) }
      return try compile(isNegative ? .sequence(looks) : .alternation(looks))
    }
    guard let length = isAhead ? 0 : body.fixedLength else {
      throw RegexError(message: "a look-behind of variable length, which is not supported")
    }
    bodies.append((body, instructions.count))
    try emit(.look(body: 0, isNegative: isNegative, isAhead: isAhead, length: length))
  }
}
