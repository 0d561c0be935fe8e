#pragma once

#include <string>
#include <vector>

#include "thermos/explain/card.h"
#include "thermos/explain/death.h"

namespace dewar {

/// The title of the card about forks that were refused.
inline constexpr const char* kPidsTitle = "Processes and threads";

/// The evidence about one run and about the whole task: only cards that tell something.
std::vector<Card> run_cards(const Evidence& evidence, const std::string& process, int run, const Death& death);
std::vector<Card> task_cards(const Evidence& evidence, const Death& death);

/// What a person can do about it; empty if nothing is known to help.
std::vector<std::string> advice_for(Cause cause, const Details& details);

}  // namespace dewar
