"""What augment.py adds to mails: endings, tags, signatures, boilerplate.

Written for this project. None of it speaks of a deadline, a mood or one of the categories; a test
keeps out the words that would.
"""

ENDINGS = (
    *(".com",) * 8,
    *(".org", ".net", ".co.uk", ".de", ".fr", ".io", ".eu", ".nl", ".es", ".it", ".ch", ".edu", ".ca"),
    *(".com.au", ".us", ".se", ".ie", ".co", ".biz", ".info", ".gov", ".co.nz", ".in", ".com.br", ".jp", ".pl"),
)
PROVIDERS = (
    *("gmail.com",) * 4,
    *("outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "aol.com", "gmx.net", "web.de", "live.co.uk"),
    *("btinternet.com", "comcast.net", "proton.me", "orange.fr", "earthlink.net", "msn.com", "fastmail.com"),
)
SUBJECT_TAGS = ("RE:", "Re:", "Re: Re:", "FW:", "Fwd:", "[EXTERNAL]", "[EXT]", "[External Sender]", "AW:")
STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"})

ATTRIBUTIONS = (
    "On 12 March, M. Keller wrote:",
    "On Tue, Dana Whitfield wrote:",
    "From: J. Okafor\nTo: undisclosed recipients\nSubject: as below",
    "-----Original Message-----",
    "________________________________\nFrom: Reception",
    "Am 04.05. schrieb Jonas Brandt:",
)
HISTORY = (
    "Noted, I have it here.\nMore when I know more.",
    "Hello,\n\nsee below. I have put it in the folder as usual.",
    "OK.",
    "Yes, that was the one I meant. It is the second on the list.",
    "Hi,\n\nthis is what I had from them.\n\nBest\nDana",
    "I have read it and passed it on.\nM.",
    "Good morning,\n\nas talked about, here is the rest of it.\n\nKind regards",
    "Which one do you mean, the old or the new one?",
    "Text as in the attached file.",
    "The same as last year, as far as I can see.",
)
SIGNATURES = (
    "--\nSent from my iPhone",
    "Sent from my Samsung Galaxy smartphone.",
    "Get Outlook for Android",
    "Gesendet von meinem iPhone",
    "--\nDr. Ines Halloran\nHalloran & Pike\nTel. +44 20 7946 0311",
    "Mit freundlichen Grüßen / Kind regards\n\nT. Eriksen",
    "R. Castellanos | Room 214 | ext. 4417",
    "--\nJo Pemberton (she/her)\nOffice: 555-0142\nMobile: 555-0177",
    "Peter van Dam\nKeizersgracht 12\n1015 CN Amsterdam",
    "*Lena Fischbach*\nlena@fischbach.net\nwww.fischbach.net",
    "Regards,\nA. N. Rao",
    "P Please consider the environment before printing this e-mail.",
)
DISCLAIMERS = (
    "This e-mail and any attachments are confidential and meant for the addressee alone. If you are not the "
    "addressee, please delete it and tell the sender.",
    "CONFIDENTIALITY NOTICE: The contents of this message are intended only for the person to whom it is addressed. "
    "Any other use or copying of it is not allowed.",
    "The views in this message are those of the writer and do not bind the company.",
    "Registered in England and Wales No. 04417223. Registered office: 3 Quay Street, Bristol.",
    "This message has been checked for viruses.",
    "Diese E-Mail enthält vertrauliche Informationen und ist nur für den Adressaten bestimmt.",
    "Sitz der Gesellschaft: Bremen, Amtsgericht Bremen HRB 22417. Geschäftsführer: K. Oltmanns.",
    "CAUTION: This message came from outside of the organisation. Do not click links or open attachments unless you "
    "know the sender.",
)
FORWARDS = (
    "---------- Forwarded message ---------",
    "-----Original Message-----",
    "Begin forwarded message:",
    "----- Forwarded by Front Office -----",
    "________________________________",
)
PICTURES = ("[cid:image001.png@01DA4F2C.8B1E3A70]", "[image: image.png]", "[logo]", "<image001.jpg>", "[Bild]")
