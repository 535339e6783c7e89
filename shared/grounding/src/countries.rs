//! Names of countries, for claims that spell out the country code of an enrichment fact.

use crate::text::comparable;

/// ISO 3166-1 alpha-2 codes with the usual English names, in lower case.
const COUNTRIES: &[(&str, &[&str])] = &[
    ("ae", &["united arab emirates", "uae"]),
    ("ar", &["argentina"]),
    ("at", &["austria"]),
    ("au", &["australia"]),
    ("be", &["belgium"]),
    ("bg", &["bulgaria"]),
    ("br", &["brazil"]),
    ("ca", &["canada"]),
    ("ch", &["switzerland"]),
    ("cl", &["chile"]),
    ("cn", &["china"]),
    ("co", &["colombia"]),
    ("cz", &["czechia", "czech republic"]),
    ("de", &["germany"]),
    ("dk", &["denmark"]),
    ("ee", &["estonia"]),
    ("es", &["spain"]),
    ("fi", &["finland"]),
    ("fr", &["france"]),
    ("gb", &["united kingdom", "uk", "great britain"]),
    ("gr", &["greece"]),
    ("hk", &["hong kong"]),
    ("hr", &["croatia"]),
    ("hu", &["hungary"]),
    ("id", &["indonesia"]),
    ("ie", &["ireland"]),
    ("il", &["israel"]),
    ("in", &["india"]),
    ("it", &["italy"]),
    ("jp", &["japan"]),
    ("kr", &["south korea", "republic of korea"]),
    ("lt", &["lithuania"]),
    ("lu", &["luxembourg"]),
    ("lv", &["latvia"]),
    ("mx", &["mexico"]),
    ("my", &["malaysia"]),
    ("nl", &["netherlands", "the netherlands"]),
    ("no", &["norway"]),
    ("nz", &["new zealand"]),
    ("ph", &["philippines"]),
    ("pl", &["poland"]),
    ("pt", &["portugal"]),
    ("ro", &["romania"]),
    ("rs", &["serbia"]),
    ("sa", &["saudi arabia"]),
    ("se", &["sweden"]),
    ("sg", &["singapore"]),
    ("si", &["slovenia"]),
    ("sk", &["slovakia"]),
    ("th", &["thailand"]),
    ("tr", &["turkey", "türkiye"]),
    ("tw", &["taiwan"]),
    ("ua", &["ukraine"]),
    ("us", &["united states", "united states of america", "usa"]),
    ("vn", &["vietnam"]),
    ("za", &["south africa"]),
];

/// The code of a country, from its code or one of its names, in any case.
pub(crate) fn country_code(text: &str) -> Option<&'static str> {
    let text = comparable(text);
    let country = COUNTRIES.iter().find(|(code, names)| *code == text || names.contains(&text.as_str()));
    country.map(|(code, _)| *code)
}
