/// Text from outside, made fit for a sentence.
public enum Excerpt {
  /// The text in double quotes, cut after `limit` characters, with everything that could break
  /// a line or steer a terminal written as an escape.
  public static func quoted(_ text: some StringProtocol, limit: Int = 80) -> String {
    var result = "\""
    var count = 0
    for scalar in text.unicodeScalars {
      guard count < limit else { return result + "…\"" }
      count += 1
      switch scalar.properties.generalCategory {
      case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
        .paragraphSeparator:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default:
        if scalar == "\"" || scalar == "\\" { result += "\\" }
        result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
