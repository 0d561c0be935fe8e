// How text looks on a terminal: colours, signs and widths. A state is always told by a word and a sign as well, never
// by colour alone.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dewar {

enum class Tone { kPlain, kBold, kFaint, kGood, kBusy, kWarn, kBad };

/// What the output can show.
struct Paint {
  bool color = false;
  bool utf8 = false;  ///< signs beyond ASCII

  /// `text` in the tone's colour (ECMA-48 SGR), or as it is.
  std::string tone(Tone tone, std::string_view text) const;
  /// `text` in one of some colours that mean nothing: they tell names apart.
  std::string hue(std::size_t number, std::string_view text) const;
};

enum class ColorWish { kAuto, kAlways, kNever };

/// The value of an environment variable, or null, as getenv(3).
using Environment = std::function<const char*(const char*)>;

/// --color first, then NO_COLOR, then CLICOLOR_FORCE (no-color.org, bixense.com/clicolors), then whether the output is
/// a terminal that is not "dumb". Signs follow the locale: LC_ALL, LC_CTYPE, LANG.
Paint choose_paint(ColorWish wish, bool terminal, const Environment& environment);

/// `text` with every control character and every byte that is no UTF-8 shown as '?', so that it cannot steer a
/// terminal.
std::string printable(std::string_view text);

/// Columns that printable text takes on a terminal: 2 for wide East Asian characters and emoji, 0 for combining marks.
std::size_t columns_of(std::string_view text);

/// The longest beginning of printable `text` that fits into `columns`, with a sign where something was cut off.
std::string cut_to(std::string_view text, std::size_t columns, const Paint& paint);

/// The same of a name, whose end often tells it from its neighbours: a sign stands for what is left out of the middle.
std::string cut_middle(std::string_view text, std::size_t columns, const Paint& paint);

/// Printable `text` in pieces of at most `columns`, cut at blanks where there are any.
std::vector<std::string> wrapped(std::string text, std::size_t columns);

}  // namespace dewar
