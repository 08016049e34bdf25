/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of html/ as bytes: the page before its title, between title and data, and behind the
 * data; parts of the picture.
 */
#pragma once

#include <stddef.h>

extern const unsigned char pp_html_head[], pp_html_body[], pp_html_tail[], pp_svg_style[],
	pp_svg_script[];
extern const size_t pp_html_head_size, pp_html_body_size, pp_html_tail_size, pp_svg_style_size,
	pp_svg_script_size;
