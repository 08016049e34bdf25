/* SPDX-License-Identifier: Apache-2.0 */
/* What html/ is made into: the page before its title, between that and its data, and behind them;
 * parts of the picture. */
#pragma once

#include <stddef.h>

extern const unsigned char pp_html_head[], pp_html_body[], pp_html_tail[], pp_svg_style[],
	pp_svg_script[];
extern const size_t pp_html_head_size, pp_html_body_size, pp_html_tail_size, pp_svg_style_size,
	pp_svg_script_size;
