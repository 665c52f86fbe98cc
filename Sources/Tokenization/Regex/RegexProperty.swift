/// The names that `\p{…}` and `[:…:]` take.
enum RegexProperty {
  /// The set of a general category, script or other property; nil where the name is unknown.
  static func set(named name: String) -> ScalarSet? {
    let key = String(
      String.UnicodeScalarView(
        name.unicodeScalars.filter { $0 != " " && $0 != "_" && $0 != "-" })
    ).lowercased()
    if let categories = categories[key] { return .categories(categories) }
    if let set = properties[key] { return set }
    return scripts[key].map { .ranges($0) }
  }

  private static let categories: [String: CategorySet] = {
    var sets: [String: CategorySet] = [
      "l": .letter, "letter": .letter, "m": .mark, "mark": .mark, "combiningmark": .mark,
      "n": .number, "number": .number, "p": .punctuation, "punctuation": .punctuation,
      "s": .symbol, "symbol": .symbol, "z": .separator, "separator": .separator,
      "c": .other, "other": .other, "cc": .control, "control": .control, "cntrl": .control,
      "lc": CategorySet([.Lu, .Ll, .Lt]), "casedletter": CategorySet([.Lu, .Ll, .Lt]),
      "whitespace": .whiteSpace, "space": .whiteSpace, "any": .all,
      "digit": CategorySet(.Nd), "nd": CategorySet(.Nd), "decimalnumber": CategorySet(.Nd),
    ]
    for category in GeneralCategory.allCases where category != .whiteSpaceControl {
      let key = "\(category)".lowercased()
      if sets[key] == nil { sets[key] = CategorySet(category) }
    }
    for (name, category) in longNames { sets[name] = CategorySet(category) }
    return sets
  }()

  private static let longNames: [(String, GeneralCategory)] = [
    ("uppercaseletter", .Lu), ("lowercaseletter", .Ll), ("titlecaseletter", .Lt),
    ("modifierletter", .Lm), ("otherletter", .Lo), ("nonspacingmark", .Mn),
    ("spacingmark", .Mc), ("enclosingmark", .Me), ("letternumber", .Nl), ("othernumber", .No),
    ("connectorpunctuation", .Pc), ("dashpunctuation", .Pd), ("openpunctuation", .Ps),
    ("closepunctuation", .Pe), ("initialpunctuation", .Pi), ("finalpunctuation", .Pf),
    ("otherpunctuation", .Po), ("mathsymbol", .Sm), ("currencysymbol", .Sc),
    ("modifiersymbol", .Sk), ("othersymbol", .So), ("spaceseparator", .Zs),
    ("lineseparator", .Zl), ("paragraphseparator", .Zp), ("format", .Cf), ("surrogate", .Cs),
    ("privateuse", .Co), ("unassigned", .Cn),
  ]

  private static let properties: [String: ScalarSet] = [
    "word": .word, "xdigit": .hexadecimalDigit, "asciihexdigit": .hexadecimalDigit,
    "ascii": .ranges([0...0x7F]),
    "alpha": .property(.alphabetic), "alphabetic": .property(.alphabetic),
    "alnum": .union([.property(.alphabetic), .digit]),
    "upper": .property(.uppercase), "uppercase": .property(.uppercase),
    "lower": .property(.lowercase), "lowercase": .property(.lowercase),
    "blank": .union([.categories(CategorySet(.Zs)), .scalar(0x09)]),
    "punct": .union([
      .categories(.punctuation),
      .ranges([
        0x24...0x24, 0x2B...0x2B, 0x3C...0x3E, 0x5E...0x5E, 0x60...0x60, 0x7C...0x7C,
        0x7E...0x7E,
      ]),
    ]),
    "graph": .complement(
      .categories([.whiteSpace, CategorySet([.Cc, .Cn, .Cs])])),
    "print": .complement(.categories([CategorySet([.Cc, .Cn, .Cs, .whiteSpaceControl])])),
  ]

  private static let scripts: [String: [ClosedRange<UInt32>]] = {
    var scripts: [String: [ClosedRange<UInt32>]] = [:]
    for script in scriptRanges.split(separator: ";") {
      let parts = script.split(separator: ":")
      var ranges: [ClosedRange<UInt32>] = []
      var start: UInt32 = 0
      for range in parts[1].split(separator: ",") {
        let numbers = range.split(separator: "+").map { UInt32($0, radix: 16) ?? 0 }
        start += numbers[0]
        ranges.append(start...(start + max(1, numbers[1]) - 1))
      }
      scripts[parts[0].lowercased()] = ranges
    }
    return scripts
  }()
}
