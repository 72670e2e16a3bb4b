"""What each kind of finding means and what to do about it, in a sentence or two."""

MEANINGS = {
    "exact_across": "The same file stands on both sides, so a model is scored on what it has "
    "learned by heart. Training and evaluation drop the train copies (dedupe=true); "
    "`mien data split` makes splits that keep copies together.",
    "near_across": "Not the same bytes, but the same photograph: cut, scaled or compressed "
    "differently. `mien data split` keeps such pairs on one side.",
    "mirrored_across": "One is the mirror image of the other. Training mirrors faces at random, so "
    "this is as much a leak as a plain copy.",
    "stem_across": "Copies of one picture, made before the data was split, stand on both sides "
    "(the file names tell). Scores on them say little about new faces.",
    "subject_across": "The same person is learned from and scored on. `mien data split` keeps "
    "subjects whole.",
    "conflicting_labels": "The same picture has two labels. At least one is wrong, or the face is "
    "ambiguous: keep votes, or drop both.",
    "unreadable": "Training stops at such files. Fetch them again or take them out.",
    "empty": "Files of no bytes, as an interrupted download leaves them.",
    "not_picture": "The ending says picture, the content says otherwise, as error pages saved "
    "under a picture's name do.",
    "bad_name": "The name is not UTF-8. Rename the file; many tools cannot open it.",
    "missing_class": "Scores of this split say nothing about the class, or a model never sees it.",
    "label_spellings": "They are read as one label. Make sure that is meant.",
    "flat": "There is nothing to see in them.",
    "exact_within": "They count twice in training or scoring.",
    "near_within": "Within a split they count twice; they leak as soon as somebody splits anew "
    "without grouping.",
    "mirrored_within": "Mirror images within a split.",
    "stem_within": "Augmented offline: keep each source picture on one side when splitting.",
    "no_face": "Detectors miss tight crops and turned heads: look before you delete.",
    "suspicious_label": "The least likely first. A list to look through, not a verdict: rare "
    "expressions are often named here.",
    "other_files": "Not an error; listed so that nothing is lost unseen.",
    "reader": "What the reader of this dataset says.",
    "size_low": "Far smaller than the rest.",
    "size_high": "Far larger than the rest.",
    "brightness_low": "Far darker than the rest.",
    "brightness_high": "Far brighter than the rest.",
    "contrast_low": "Far paler than the rest.",
    "contrast_high": "Far harsher than the rest.",
    "sharpness_low": "Little detail compared with the rest: blurred, or enlarged from few pixels.",
    "sharpness_high": "Much detail compared with the rest: noise, print, or drawn lines.",
}
