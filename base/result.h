// Errors as values. A function that can fail returns Result<T>; each caller adds what *it* was doing with context();
// only the top of a program prints. See docs/architecture.md, "Errors".
#pragma once

#include <cerrno>
#include <concepts>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

namespace dewar {

/// What went wrong: `code` for programs, `context` for people (outermost first).
struct Error {
  std::error_code code;
  std::string context;

  /// "start process 'web': limiting memory: write '16M' to memory.max: Invalid argument"
  std::string message() const { return code ? context + ": " + code.message() : context; }
};

/// What fail() returns; turns into any Result.
struct Failure {
  Error error;
};

/// A T, or why there is none. Ignoring one is a compile error.
template <class T>
class [[nodiscard]] Result {
  using Held = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  Result() requires std::is_void_v<T> : held_(std::in_place_index<0>) {}
  template <class U = Held>
  requires(!std::is_void_v<T> && std::is_convertible_v<U&&, Held>) Result(U&& value)
      : held_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Failure failure) : held_(std::in_place_index<1>, std::move(failure.error)) {}

  explicit operator bool() const { return held_.index() == 0; }
  const Held& operator*() const& requires(!std::is_void_v<T>) { return std::get<0>(held_); }
  Held& operator*() & requires(!std::is_void_v<T>) { return std::get<0>(held_); }
  /// By value, so that `for (auto& x : *f())` and `auto& x = *f()` keep what they look at alive.
  Held operator*() && requires(!std::is_void_v<T>) { return std::get<0>(std::move(held_)); }
  const Held* operator->() const requires(!std::is_void_v<T>) { return &std::get<0>(held_); }
  Held* operator->() requires(!std::is_void_v<T>) { return &std::get<0>(held_); }
  const Error& error() const& { return std::get<1>(held_); }
  Error error() && { return std::get<1>(std::move(held_)); }
  T take() && {
    if constexpr (!std::is_void_v<T>) return std::get<0>(std::move(held_));
  }

  /// On failure, puts what the caller was doing in front of the story.
  Result context(const std::string& doing) && {
    if (!*this) std::get<1>(held_).context.insert(0, doing + ": ");
    return std::move(*this);
  }

 private:
  std::variant<Held, Error> held_;
};

inline Failure fail(std::error_code code, std::string doing) { return {{code, std::move(doing)}}; }
inline Failure fail(std::errc code, std::string doing) { return fail(std::make_error_code(code), std::move(doing)); }
/// A failure whose words say it all (bad input): message() adds no errno text.
inline Failure fail(std::string words) { return {{{}, std::move(words)}}; }
/// The failure that errno tells, at once after the call that set it.
inline Failure fail_errno(std::string doing) {
  const int number = errno;
  return fail({number, std::generic_category()}, std::move(doing));
}

/// The value, or leave this function with the error. The project's only macro of its kind.
#define DEWAR_TRY(expr)                                                            \
  __extension__({                                                                  \
    auto dewar_result_ = (expr);                                                   \
    if (!dewar_result_) return ::dewar::Failure{std::move(dewar_result_).error()}; \
    std::move(dewar_result_).take();                                               \
  })

}  // namespace dewar
